#include <algorithm>
#include <cmath>
#include <limits>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

class Greedy final : public SamplerStage {
 public:
  void apply(Candidates& candidates, const SamplingState&) override {
    candidates.largest();  // throws where there is none
    candidates.keep_only(size_t(argmax(candidates.logits())));
  }
  Stage clone() const override { return std::make_unique<Greedy>(); }
};

}  // namespace

Stage greedy() { return std::make_unique<Greedy>(); }

int32_t argmax(std::span<const float> logits) {
  constexpr size_t kBlock = 2048, kLanes = 16;
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  // The largest of each block in lanes that the compiler makes vectors of (NaN compares false), then where it is in the first
  // best.
  float largest = kLowest;
  size_t block = 0;
  for (size_t first = 0; first < logits.size(); first += kBlock) {
    const size_t n = std::min(kBlock, logits.size() - first);
    const float* x = logits.data() + first;
    float lanes[kLanes];
    std::fill_n(lanes, kLanes, kLowest);
    for (size_t i = 0; i + kLanes <= n; i += kLanes)
      for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
    for (size_t i = n / kLanes * kLanes; i < n; ++i) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    const float top = usable_logit(*std::max_element(lanes, lanes + kLanes));
    if (top > largest) largest = top, block = first;
  }
  if (largest == kLowest) return -1;
  while (usable_logit(logits[block]) < largest) ++block;
  return int32_t(block);
}

}  // namespace gale::stages
