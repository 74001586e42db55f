#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020: the token that reaches p is kept.
class TopP final : public SamplerStage {
 public:
  explicit TopP(float p) : p_(p) {}
  void apply(Candidates& candidates, const SamplingState&) override {
    const auto weights = candidates.weights();
    candidates.keep(sampling::cut_at_mass(candidates.keys(), weights, double(p_) * candidates.total(), candidates.select));
  }
  Stage clone() const override { return std::make_unique<TopP>(*this); }

 private:
  float p_;
};

}  // namespace

Stage top_p(float p) { return std::make_unique<TopP>(p); }

}  // namespace gale::stages
