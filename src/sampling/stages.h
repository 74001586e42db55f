#pragma once
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "sampling/sampler.h"

/// The stages, one file each. Private to this room.
///
/// The first ones (bias, penalties) get all tokens in order of id, so that candidates[i].token == i; the narrowing ones after
/// them may reorder. No logit is NaN or +infinity when it enters a stage; -infinity is a token that cannot be chosen.
namespace gale::stages {

using Stage = std::unique_ptr<SamplerStage>;

Stage logit_bias(std::vector<std::pair<int32_t, float>> bias, int64_t vocab);
Stage repetition_penalty(float penalty, int64_t vocab);
/// Frequency and presence: one walk over the generated tokens serves both.
Stage count_penalties(float frequency, float presence);
Stage temperature(float temperature);
Stage top_k(int32_t k);
Stage top_p(float p);
Stage min_p(float p);
/// Leaves one candidate, drawn by probability.
Stage draw();
/// Leaves the most likely candidate.
Stage greedy();

/// Most likely first, ties by id: the one order of this room.
inline bool more_likely(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

/// What stages take a model's logit for: NaN cannot be chosen, +infinity is the largest number.
float usable_logit(float logit);
/// Index of the largest usable logit, the first of equal ones.
int32_t argmax(std::span<const float> logits);
float largest_logit(const std::vector<Candidate>& candidates);

/// Numbers of the stages in the address of a draw; never reused, since that would repeat a draw.
enum class DrawStage : uint32_t { token = 0 };

}  // namespace gale::stages
