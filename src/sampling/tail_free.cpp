#include <algorithm>
#include <cmath>

#include "sampling/softmax.h"
#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Phénix and Egan, "Tail Free Sampling", 2019: of the probabilities in descending order, the second differences' sizes add up to
/// 1 when normalized; a token goes when the sum up to the difference before it is above z. The first always stays, the last goes.
class TailFree final : public SamplerStage {
 public:
  explicit TailFree(float z) : z_(double(z)) {}

  void apply(Candidates& candidates, const SamplingState&) override {
    constexpr size_t kFew = 1024;
    const size_t size = candidates.size();
    if (size < 3) return;
    const float largest = candidates.largest();
    // All that bends is at the front, mostly: the rest adds at most twice the last weight looked at.
    std::vector<float>& keys = candidates.select.keys;
    if (size > kFew) {
      sampling::rank(candidates.keys(), kFew, candidates.select);
      keys.clear();
      for (const auto& r : candidates.select.ranked) keys.push_back(r.key);
    }
    if (size <= kFew || !cut(candidates, largest, size)) {
      sampling::sort_all(candidates.logits(), candidates.select);
      cut(candidates, largest, size);
    }
  }
  Stage clone() const override { return std::make_unique<TailFree>(*this); }

 private:
  /// By the largest keys in order; false where they are too few to tell. Weights of any scale will do: the sum is normalized.
  bool cut(Candidates& candidates, float largest, size_t size) {
    const std::vector<float>& keys = candidates.select.keys;
    std::vector<float>& weights = candidates.values;
    sampling::exponentials(keys, largest, weights, sums_);
    const size_t n = keys.size();
    const auto bend = [&](size_t i) {
      return double(std::fabs((weights[i + 2] - weights[i + 1]) - (weights[i + 1] - weights[i])));
    };
    double total = 0;
    for (size_t i = 0; i + 2 < n; ++i) total += bend(i);
    if (n < size && 2 * double(weights[n - 1]) > 1e-7 * total) return false;
    if (total == 0) return true;  // a straight line has no tail
    size_t kept = 1;
    for (double sum = 0; kept + 1 < n && (sum += bend(kept - 1)) <= z_ * total;) ++kept;
    const float last = keys[kept - 1];
    candidates.keep({last, size_t(kept - (std::find(keys.begin(), keys.end(), last) - keys.begin()))});
    return true;
  }

  std::vector<double> sums_;  // scratch
  double z_;
};

}  // namespace

Stage tail_free(float z) { return std::make_unique<TailFree>(z); }

}  // namespace gale::stages
