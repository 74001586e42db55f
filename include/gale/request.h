#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gale {

/// How the next token is chosen. Stages apply in the order of the fields: bias, penalties, temperature, top-k, top-p, min-p,
/// draw. submit() checks every value and throws Error{invalid_argument} naming the field for NaN, infinity or what is out of
/// range.
struct SamplingParams {
  std::vector<std::pair<int32_t, float>> logit_bias;  ///< token id, added to its logit; -100 in effect forbids
  float repetition_penalty = 1;  ///< > 0; logits of tokens seen (prompt included) are divided by it if positive, else multiplied
  float frequency_penalty = 0;   ///< -2..2; subtracted once per occurrence in the generated text
  float presence_penalty = 0;    ///< -2..2; subtracted once for tokens in the generated text
  float temperature = 0;         ///< >= 0; 0 takes the most likely token (ties: the lowest id)
  int32_t top_k = 0;             ///< keep the k most likely, 0: all
  float top_p = 1;               ///< (0, 1]; keep the smallest set of most likely tokens that reaches p
  float min_p = 0;               ///< [0, 1); drop tokens below min_p x the most likely one's probability
  uint64_t seed = 0;             ///< the same seed gives the same tokens, in whatever batch
  int32_t logprobs = -1;         ///< -1: none; n >= 0: the chosen token's and the n most likely ones', at most 20
};

/// A piece of text generation, in tokens: text, templates and stop strings are the caller's side (TextStream).
struct Request {
  std::vector<int32_t> tokens;  ///< the prompt, at least one
  SamplingParams sampling;
  int64_t max_tokens = -1;        ///< tokens to generate at most; -1: until the context is full
  std::vector<int32_t> stop_ids;  ///< end like the model's own end tokens
  bool ignore_eos = false;        ///< go on past the model's end tokens
  int32_t choices = 1;            ///< texts to generate from the one prompt, each with draws of its own; at least 1
  bool background = false;        ///< gives way to requests that are not
  double timeout_seconds = 0;     ///< from submit() on, then Finish::timeout; 0: none
  std::string salt;               ///< requests share what was computed for their prompts only where this is the same
};

enum class Finish : uint8_t { stop, length, cancelled, timeout, error };

struct TokenLogprob {
  int32_t token;
  float logprob;  ///< natural log, of the model's distribution before any sampling stage
};
/// One generated token. The token that ended the text (end or stop id) is not sent.
struct TokenEvent {
  int32_t token;
  float logprob;                  ///< set where logprobs were asked for
  std::vector<TokenLogprob> top;  ///< most likely first
  int32_t choice = 0;             ///< of Request::choices, from 0
};
/// The last event of a choice. The last of all choices' is the last of the request.
struct EndEvent {
  Finish finish;
  int64_t prompt_tokens = 0, generated_tokens = 0;
  int64_t cached_tokens = 0;  ///< of the prompt, what had been computed for another text already
  double queue_seconds = 0, prefill_seconds = 0, decode_seconds = 0;
  std::string error;  ///< with Finish::error
  int32_t choice = 0;
};
using Event = std::variant<TokenEvent, EndEvent>;

}  // namespace gale
