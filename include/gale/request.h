#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gale {

/// What a LogitProcessor may look at.
struct LogitContext {
  std::span<const int32_t> prompt, generated;
};

/// A sampling stage of the caller's own. One object may serve many requests, at the same time and from any compute thread of the
/// engine, which it holds up as long as it runs: it must be thread-safe and fast. It is called anew for a position that is
/// sampled again (a draft that was refused), so what it does may depend only on its arguments.
class LogitProcessor {
 public:
  virtual ~LogitProcessor() = default;
  /// Changes logits f32 [vocab] in place; -infinity and NaN forbid a token. An exception ends the request with Finish::error.
  virtual void process(std::span<float> logits, const LogitContext& context) const = 0;
};

/// How the next token is chosen; docs/why/sampling.md defines every stage. Masks and biases come first, then the stages in the
/// order of docs/why/sampling.md or in that of `order`, then one token is drawn. submit() checks every value and throws
/// Error{invalid_argument} naming the field for NaN, infinity or what is out of range.
struct SamplingParams {
  // Which tokens, by id or text.
  std::vector<std::pair<int32_t, float>> logit_bias;           ///< token id, added to its logit; -100 in effect forbids
  std::vector<std::pair<std::string, float>> logit_bias_text;  ///< the same for each token that a text is made of
  std::vector<int32_t> banned_ids;                             ///< never chosen
  std::vector<int32_t> allowed_ids;                            ///< nothing else is chosen; empty: all
  std::string
      begin_with;  ///< the answer begins with this text, at most 256 bytes, in tokens of the model's choice (token healing)
  std::vector<std::shared_ptr<const LogitProcessor>> processors;

  // Against repetition.
  float repetition_penalty = 1;  ///< > 0; logits of tokens seen (prompt included) are divided by it if positive, else multiplied
  float frequency_penalty = 0;   ///< -2..2; subtracted once per occurrence in the generated text
  float presence_penalty = 0;    ///< -2..2; subtracted once for tokens in the generated text
  int32_t penalty_last_n = -1;   ///< the three above look at so many last tokens, prompt included; -1: all
  int32_t no_repeat_ngram = 0;   ///< no run of so many tokens comes twice, prompt included; 0: off
  float dry_multiplier = 0;      ///< >= 0, 0: off. What would lengthen a repeat of n tokens loses multiplier x base^(n - allowed)
  float dry_base = 1.75f;        ///< >= 1
  int32_t dry_allowed_length = 2;  ///< >= 1; shorter repeats are free
  int32_t dry_last_n = -1;         ///< repeats are looked for in so many last tokens, prompt included; -1: all
  std::vector<std::string> dry_sequence_breakers = {"\n", ":", "\"", "*"};  ///< texts that no repeat goes over

  // Sharper or flatter.
  float temperature = 0;                   ///< >= 0; 0 takes the most likely token (ties: the lowest id), whatever stands below
  float dynamic_temperature_range = 0;     ///< 0..temperature; by entropy, from temperature - range to temperature + range
  float dynamic_temperature_exponent = 1;  ///< > 0; the power of the entropy's share of its maximum

  // Narrower.
  int32_t top_k = 0;          ///< keep the k most likely, 0: all
  float top_p = 1;            ///< (0, 1]; keep the smallest set of most likely tokens that reaches p
  float min_p = 0;            ///< [0, 1); drop tokens below min_p x the most likely one's probability
  float typical_p = 1;        ///< (0, 1]; keep the most typical tokens (nearest to the expected information) that reach p
  float top_a = 0;            ///< [0, 1]; drop tokens below top_a x the square of the most likely one's probability
  float tail_free = 1;        ///< (0, 1]; cut the tail where the curvature of the sorted probabilities has reached this share
  float top_n_sigma = 0;      ///< >= 0, 0: off; drop logits more than n standard deviations below the largest
  float epsilon_cutoff = 0;   ///< [0, 1); drop tokens below this probability
  float eta_cutoff = 0;       ///< [0, 1); the same, lower where the entropy is high
  float xtc_probability = 0;  ///< [0, 1]; how often all tokens of at least xtc_threshold but the least likely of them are dropped
  float xtc_threshold = 0.1f;  ///< (0, 0.5]

  // The choice.
  int32_t mirostat = 0;       ///< 1 or 2: instead of a plain draw, keep the surprise of the text near mirostat_tau; 0: off
  float mirostat_tau = 5;     ///< > 0; bits
  float mirostat_eta = 0.1f;  ///< (0, 1]; how fast it learns
  uint64_t seed = 0;          ///< the same seed gives the same tokens, in whatever batch

  /// Names of stages (sampling_stages()), in the order wanted; every stage whose parameter is set must be named. Empty: the
  /// default.
  std::vector<std::string> order;
  int32_t logprobs = -1;  ///< -1: none; n >= 0: the chosen token's and the n most likely ones', at most 20
};

/// The names that SamplingParams::order takes, in the default order.
std::vector<std::string> sampling_stages();

/// What happens to a text that is longer than the context. What is left is computed anew, as if it had always been the text.
enum class Overflow : uint8_t {
  error,   ///< such a prompt is refused, such an answer ends with Finish::length
  slide,   ///< the oldest tokens go: a prompt keeps its end, an answer goes on behind the last three quarters of the text
  middle,  ///< the same share is taken out of the middle
};

/// When a beam search is over before its texts are as long as they may be (transformers' early_stopping False, True, "never").
enum class BeamStop : uint8_t {
  unlikely,    ///< as many texts have ended as there are beams, and the best that runs would score less if it ended now
  full,        ///< as many texts have ended as there are beams
  impossible,  ///< and no text that runs could still score more than the least of them
};

/// A piece of text generation, in tokens: text, templates and stop strings are the caller's side (TextStream).
struct Request {
  std::vector<int32_t> tokens;  ///< the prompt, at least one
  SamplingParams sampling;
  int64_t max_tokens = -1;        ///< tokens to generate at most; -1: until the context is full
  int64_t min_tokens = 0;         ///< no end token and no stop id is chosen before so many tokens
  std::vector<int32_t> stop_ids;  ///< end like the model's own end tokens
  bool ignore_eos = false;        ///< go on past the model's end tokens
  int32_t choices = 1;            ///< texts to generate from the one prompt, each with draws of its own; at least 1
  int32_t best_of =
      0;  ///< as many are generated, and the `choices` likeliest a token come out, the best first, once all have ended
  /// 0: none. Else a beam search: so many texts are followed at once, and the `choices` best come out when it is over, the best
  /// first. Nothing is drawn (temperature 0); masks, biases and penalties count.
  int32_t beams = 0;
  float length_penalty = 1;  ///< a text's score is the log probability of its tokens over their number to this power
  BeamStop beam_stop = BeamStop::unlikely;
  bool background = false;     ///< gives way to requests that are not
  double timeout_seconds = 0;  ///< from submit() on, then Finish::timeout; 0: none
  std::string salt;            ///< requests share what was computed for their prompts only where this is the same
  bool include_stop = false;   ///< send the token that ended the text
  int32_t prompt_logprobs =
      -1;  ///< -1: none; n >= 0: of each prompt token but the first, and the n most likely there, at most 20
  Overflow overflow = Overflow::error;
  int64_t keep = 0;        ///< tokens at the beginning that stay whatever overflows, less than half of the context
  int32_t draft_max = -1;  ///< tokens drafted at once at most (EngineOptions::draft); 0: none, -1: as the engine has it
};

enum class Finish : uint8_t { stop, length, cancelled, timeout, error };

struct TokenLogprob {
  int32_t token;
  float logprob;  ///< natural log, of the model's distribution before any sampling stage
};
/// One generated token. The token that ended the text (end or stop id) is sent only where Request::include_stop.
struct TokenEvent {
  int32_t token;
  float logprob;                  ///< set where logprobs were asked for
  std::vector<TokenLogprob> top;  ///< most likely first
  int32_t choice = 0;             ///< of Request::choices, from 0
};
/// Where prompt_logprobs were asked for: one event, before any TokenEvent, of the prompt's tokens from the second on.
struct PromptEvent {
  std::vector<TokenEvent> tokens;
};
/// The last event of a choice. The last of all choices' is the last of the request.
struct EndEvent {
  Finish finish;
  int64_t prompt_tokens = 0, generated_tokens = 0;
  int64_t dropped_tokens = 0;  ///< of both, what was taken out as the context overflowed
  int64_t cached_tokens = 0;   ///< of the prompt, what had been computed for another text already
  double queue_seconds = 0, prefill_seconds = 0, decode_seconds = 0;
  std::string error;        ///< with Finish::error
  int32_t stop_token = -1;  ///< the end token or stop id that ended it; -1: none did
  int32_t choice = 0;
  int64_t drafted_tokens = 0;   ///< proposed by the drafter and tried
  int64_t accepted_tokens = 0;  ///< of these, what the model chose too
  float beam_score = 0;         ///< of a beam search's text (Request::length_penalty)
};
using Event = std::variant<TokenEvent, EndEvent, PromptEvent>;

}  // namespace gale
