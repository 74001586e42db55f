#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gale/request.h"
#include "sampling/candidates.h"

namespace gale {

class Tokenizer;

/// What a stage may look at. Draws are addressed by (seed, choice, position, stage), never sequenced, so that a token does not
/// depend on what else the engine did.
struct SamplingState {
  std::span<const int32_t> prompt, generated;
  uint64_t seed = 0;
  uint32_t choice = 0;
  uint64_t position = 0;
  size_t forgotten = 0;  ///< tokens of the answer that are no more among `generated`, since the context overflowed

  size_t answered() const { return generated.size() + forgotten; }
};

/// One stage, one file. What a stage does depends on its arguments alone; where it must know what it did before (mirostat), it
/// keeps that for each position, so that going back to an earlier one (a draft that was refused) needs no word to it.
class SamplerStage {
 public:
  virtual ~SamplerStage() = default;
  /// Changes logits or drops candidates, never all. Throws Error{invalid_argument} where no token can be chosen.
  virtual void apply(Candidates& candidates, const SamplingState& state) = 0;
  virtual std::unique_ptr<SamplerStage> clone() const = 0;
};

/// What a chain must know besides the parameters.
struct SamplerContext {
  const Tokenizer* tokenizer = nullptr;  ///< for parameters that are texts; not used after the constructor
  std::vector<int32_t> end_tokens;       ///< what may not come before min_tokens; those beyond the logits are ignored
  int64_t min_tokens = 0;
};

/// The stages a request needs, in their order.
class SamplerChain {
 public:
  /// vocab: the width of the logits. Throws Error{invalid_argument} naming the field, its value and its range.
  SamplerChain(const SamplingParams& params, int64_t vocab, const SamplerContext& context = {});
  SamplerChain(const SamplerChain& other);
  SamplerChain(SamplerChain&&) noexcept;
  SamplerChain& operator=(SamplerChain&&) noexcept;
  ~SamplerChain();

  /// The next token from logits f32 [vocab]. One thread at a time, positions of one text in ascending order but for going back;
  /// different chains may run on different threads, each with a `scratch`. Allocates nothing once scratch and history have grown.
  /// Throws Error{invalid_argument} where no token can be chosen.
  int32_t sample(std::span<const float> logits, const SamplingState& state, Candidates& scratch);
  /// The n most likely tokens by what the stages make of the logits, with the natural logs of their probabilities; fewer where
  /// not as many can be chosen. REQUIRES: a chain that draws nothing (temperature 0).
  std::vector<TokenLogprob> likeliest(std::span<const float> logits, const SamplingState& state, size_t n, Candidates& scratch);

 private:
  std::vector<std::unique_ptr<SamplerStage>> stages_;
};

/// The chosen token's log probability and the n most likely, from raw logits f32 [vocab]: natural log, stable. `scratch`:
/// changed.
struct Logprobs {
  float chosen;
  std::vector<TokenLogprob> top;
};
Logprobs log_probabilities(std::span<const float> logits, int32_t chosen, int32_t n, Candidates& scratch);

/// Throws Error{invalid_argument} naming the field, its value and its range. Of texts, only what needs no tokenizer is checked.
void check_sampling(const SamplingParams& params, int64_t vocab);

}  // namespace gale
