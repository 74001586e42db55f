#include <cmath>

#include "sampling/softmax.h"
#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Meister et al., "Locally Typical Sampling", 2023: the tokens whose information -ln p is nearest to the entropy, as many as
/// reach p; the one that reaches it is kept.
class TypicalP final : public SamplerStage {
 public:
  explicit TypicalP(float p) : p_(p) {}

  void apply(Candidates& candidates, const SamplingState&) override {
    const auto weights = candidates.weights();
    // |-ln p - H| = |typical - logit|, p having the logit's own zero
    const float typical = float(double(candidates.largest()) + std::log(candidates.total()) - candidates.entropy());
    const auto logits = candidates.logits();
    candidates.values.resize(logits.size());
    for (size_t i = 0; i < logits.size(); ++i) candidates.values[i] = -std::fabs(logits[i] - typical);
    sampling::block_maxima(candidates.values, candidates.value_maxima);
    const sampling::Keys keys{candidates.values, candidates.value_maxima};
    candidates.keep(keys, sampling::cut_at_mass(keys, weights, double(p_) * candidates.total(), candidates.select));
  }
  Stage clone() const override { return std::make_unique<TypicalP>(*this); }

 private:
  float p_;
};

}  // namespace

Stage typical_p(float p) { return std::make_unique<TypicalP>(p); }

}  // namespace gale::stages
