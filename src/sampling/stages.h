#pragma once
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sampling/dry_breakers.h"
#include "sampling/sampler.h"

/// The stages, one file each. Private to this room. docs/why/sampling.md has their definitions and order.
namespace gale::stages {

using Stage = std::unique_ptr<SamplerStage>;

// Masks and biases.
Stage logit_bias(std::vector<std::pair<int32_t, float>> bias);
Stage banned_ids(std::vector<int32_t> ids);
Stage allowed_ids(std::vector<int32_t> ids);
Stage min_tokens(int64_t n, std::vector<int32_t> end_tokens);
/// Throws Error{invalid_argument} where no token goes on to the text.
Stage begin_with(const Tokenizer& tokenizer, std::string_view text, int64_t vocab);

// Changing logits. `last_n`: tokens looked at, -1 for all.
Stage processors(std::vector<std::shared_ptr<const LogitProcessor>> processors, int64_t vocab);
Stage repetition_penalty(float penalty, int32_t last_n, int64_t vocab);
/// Frequency and presence: one walk over the generated tokens serves both.
Stage count_penalties(float frequency, float presence, int32_t last_n, int64_t vocab);
Stage no_repeat_ngram(int32_t n);
struct DryParams {
  float multiplier, base;
  int32_t allowed_length, last_n;
};
Stage dry(DryParams params, DryBreakers breakers, int64_t vocab);
Stage temperature(float temperature);
Stage dynamic_temperature(float temperature, float range, float exponent);

// Narrowing.
Stage top_k(int32_t k);
Stage top_p(float p);
Stage min_p(float p);
Stage typical_p(float p);
Stage top_a(float a);
Stage tail_free(float z);
Stage top_n_sigma(float n);
Stage epsilon_cutoff(float epsilon);
Stage eta_cutoff(float epsilon);
Stage xtc(float probability, float threshold);

// The choice: leaves one candidate.
Stage draw();
Stage mirostat_1(float tau, float eta);
Stage mirostat_2(float tau, float eta);
Stage greedy();

/// Numbers of the stages in the address of a draw; never reused, since that would repeat a draw.
enum class DrawStage : uint32_t { token = 0, xtc = 1 };

/// A candidate by its weight, of all that are left.
size_t draw_candidate(Candidates& candidates, const SamplingState& state);

/// The last n tokens of prompt and generated text (-1: all) in two spans.
struct Window {
  std::span<const int32_t> prompt, generated;
  size_t size() const { return prompt.size() + generated.size(); }
  int32_t operator[](size_t i) const { return i < prompt.size() ? prompt[i] : generated[i - prompt.size()]; }
};
Window last_tokens(const SamplingState& state, int32_t n);

/// Index of the largest usable logit, the first of equal ones; -1 where there is none.
int32_t argmax(std::span<const float> logits);

}  // namespace gale::stages
