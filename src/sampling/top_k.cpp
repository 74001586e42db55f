#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Fan et al., "Hierarchical Neural Story Generation", 2018.
class TopK final : public SamplerStage {
 public:
  explicit TopK(int32_t k) : k_(size_t(k)) {}
  void apply(Candidates& candidates, const SamplingState&) override {
    candidates.keep(sampling::cut_at_count(candidates.keys(), k_, candidates.select));
  }
  Stage clone() const override { return std::make_unique<TopK>(*this); }

 private:
  size_t k_;
};

}  // namespace

Stage top_k(int32_t k) { return std::make_unique<TopK>(k); }

}  // namespace gale::stages
