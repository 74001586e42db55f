#include <algorithm>
#include <cmath>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// The largest surprise that is allowed (mu), of each generated token: that of token i follows from what was drawn before, and
/// going back to i finds it again.
class SurpriseLimits {
 public:
  SurpriseLimits(float tau, float eta) : tau_(double(tau)), eta_(double(eta)), limits_{2 * double(tau)} {}

  double at(size_t generated) {
    limits_.resize(generated + 1, limits_.back());
    return limits_[generated];
  }
  /// The surprise of token `generated`, for which at() was asked last.
  void observe(double surprise) { limits_.push_back(limits_.back() - eta_ * (surprise - tau_)); }

 private:
  double tau_, eta_;
  std::vector<double> limits_;
};

double log_total(Candidates& candidates) { return double(candidates.largest()) + std::log(candidates.total()); }

double surprise_in_bits(double logit, double log_of_total) { return (log_of_total - logit) / std::log(2.0); }

/// Basu et al., "Mirostat: A Neural Text Decoding Algorithm that Directly Controls Perplexity", 2021, algorithm 1: top-k, k such
/// that text whose probabilities fall like rank^-s has the wanted surprise; s estimated from the 100 most likely tokens. k and
/// the rounding are those of the authors' program.
class Mirostat1 final : public SamplerStage {
 public:
  Mirostat1(float tau, float eta) : limits_(tau, eta) {}

  void apply(Candidates& candidates, const SamplingState& state) override {
    const double limit = limits_.at(state.answered()), of_all = log_total(candidates);
    candidates.keep(sampling::cut_at_count(candidates.keys(), count(candidates, limit), candidates.select));
    candidates.keep_only(draw_candidate(candidates, state));
    limits_.observe(surprise_in_bits(double(candidates.logits()[0]), of_all));
  }
  Stage clone() const override { return std::make_unique<Mirostat1>(*this); }

 private:
  static size_t count(Candidates& candidates, double limit) {
    constexpr size_t kLooked = 100;
    sampling::rank(candidates.keys(), std::min(kLooked, candidates.size()), candidates.select);
    double products = 0, squares = 0;
    const auto& ranked = candidates.select.ranked;
    for (size_t i = 0; i + 1 < ranked.size() && std::isfinite(ranked[i + 1].key); ++i) {
      const double t = std::log(double(i + 2) / double(i + 1)), b = double(ranked[i].key) - double(ranked[i + 1].key);
      products += t * b;
      squares += t * t;
    }
    if (squares == 0) return 1;
    const double s = products / squares, epsilon = s - 1, size = double(candidates.size());
    const double of_ranks = std::fabs(epsilon) < 1e-9 ? 1 / std::log(size) : epsilon / (1 - std::pow(size, -epsilon));
    const double k = std::round(std::pow(of_ranks * std::exp2(limit), 1 / s)) + 1;
    return k < size ? size_t(std::max(k, 1.0)) : candidates.size();  // not a number: all
  }

  SurpriseLimits limits_;
};

/// Its second version: drops tokens of more surprise than the limit, never the most likely; what is left is the distribution that
/// the surprise of the drawn token is taken of.
class Mirostat2 final : public SamplerStage {
 public:
  Mirostat2(float tau, float eta) : limits_(tau, eta) {}

  void apply(Candidates& candidates, const SamplingState& state) override {
    const double limit = limits_.at(state.answered());
    const double lowest = log_total(candidates) - limit * std::log(2.0);
    candidates.keep_from(float(std::min(lowest, double(candidates.largest()))));
    const double of_kept = log_total(candidates);
    candidates.keep_only(draw_candidate(candidates, state));
    limits_.observe(surprise_in_bits(double(candidates.logits()[0]), of_kept));
  }
  Stage clone() const override { return std::make_unique<Mirostat2>(*this); }

 private:
  SurpriseLimits limits_;
};

}  // namespace

Stage mirostat_1(float tau, float eta) { return std::make_unique<Mirostat1>(tau, eta); }
Stage mirostat_2(float tau, float eta) { return std::make_unique<Mirostat2>(tau, eta); }

}  // namespace gale::stages
