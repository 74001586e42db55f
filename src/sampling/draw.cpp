#include <algorithm>

#include "base/rng.h"
#include "sampling/softmax.h"
#include "sampling/stages.h"

namespace gale::stages {
namespace {

class Draw final : public SamplerStage {
 public:
  void apply(Candidates& candidates, const SamplingState& state) override {
    candidates.keep_only(draw_candidate(candidates, state));
  }
  Stage clone() const override { return std::make_unique<Draw>(); }
};

}  // namespace

// The weights lie side by side in order of id; the draw is a point on them. The sums of whole blocks say in which block it is.
size_t draw_candidate(Candidates& candidates, const SamplingState& state) {
  const auto weights = candidates.weights();
  const double u = philox_uniform(state.seed, state.choice, state.position, uint32_t(DrawStage::token));
  double rest = u * candidates.total();
  const auto sums = candidates.block_sums();
  size_t block = 0;
  while (block + 1 < sums.size() && rest >= sums[block]) rest -= sums[block++];
  const size_t begin = block * sampling::kSumBlock, end = std::min(weights.size(), begin + sampling::kSumBlock);
  for (size_t i = begin; i < end; ++i)
    if ((rest -= double(weights[i])) < 0) return i;
  // Sums in another order round otherwise, and carried the point past the end: the last token with any weight, of this block or
  // one before.
  size_t i = end - 1;
  while (i > 0 && weights[i] == 0) --i;
  return i;
}

Stage draw() { return std::make_unique<Draw>(); }

}  // namespace gale::stages
