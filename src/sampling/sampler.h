#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gale/request.h"

namespace gale {

/// A token that may still be chosen.
struct Candidate {
  int32_t token;
  float logit;
};

/// What a stage may look at. Draws are addressed by (seed, choice, position, stage), never sequenced, so that a token does not
/// depend on what else the engine did.
struct SamplingState {
  std::span<const int32_t> prompt, generated;
  uint64_t seed = 0;
  uint32_t choice = 0;
  uint64_t position = 0;
};

/// One stage, one file. Stages narrow or change the candidates; those with memory of their own say so through accept().
class SamplerStage {
 public:
  virtual ~SamplerStage() = default;
  /// Never empties the list.
  virtual void apply(std::vector<Candidate>& candidates, const SamplingState& state) = 0;
  virtual std::unique_ptr<SamplerStage> clone() const = 0;
};

/// The stages a request needs, in their one order. Its constructor is the only place that fixes the order.
class SamplerChain {
 public:
  /// Throws Error{invalid_argument} naming the field, its value and its range.
  SamplerChain(const SamplingParams& params, int64_t vocab);
  SamplerChain(const SamplerChain& other);
  SamplerChain(SamplerChain&&) noexcept;
  SamplerChain& operator=(SamplerChain&&) noexcept;
  ~SamplerChain();

  /// The next token from logits f32 [vocab]. Not thread-safe; different chains may run on different threads.
  int32_t sample(std::span<const float> logits, const SamplingState& state);

 private:
  std::vector<std::unique_ptr<SamplerStage>> stages_;
  std::vector<Candidate> candidates_;
  bool greedy_;
};

/// The chosen token's log probability and the n most likely, from raw logits f32 [vocab]: natural log, stable.
struct Logprobs {
  float chosen;
  std::vector<TokenLogprob> top;
};
Logprobs log_probabilities(std::span<const float> logits, int32_t chosen, int32_t n);

}  // namespace gale
