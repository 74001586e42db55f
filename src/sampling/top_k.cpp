#include <algorithm>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Fan et al., "Hierarchical Neural Story Generation", 2018.
class TopK final : public SamplerStage {
 public:
  explicit TopK(int32_t k) : k_(size_t(k)) {}

  void apply(std::vector<Candidate>& candidates, const SamplingState&) override {
    if (candidates.size() > k_) {
      std::nth_element(candidates.begin(), candidates.begin() + ptrdiff_t(k_), candidates.end(), more_likely);
      candidates.resize(k_);
    }
    std::sort(candidates.begin(), candidates.end(), more_likely);
  }
  Stage clone() const override { return std::make_unique<TopK>(*this); }

 private:
  size_t k_;
};

}  // namespace

Stage top_k(int32_t k) { return std::make_unique<TopK>(k); }

}  // namespace gale::stages
