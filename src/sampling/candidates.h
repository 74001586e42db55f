#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "sampling/select.h"

namespace gale {

/// The tokens that may still be chosen and their logits, in ascending order of id. No logit is NaN or +infinity; -infinity is a
/// token that cannot be chosen. What is worked out from the logits (largest, weights) is kept until they change. One per thread:
/// its memory serves one sample after the other.
class Candidates {
 public:
  /// All tokens of logits f32 [vocab], made usable.
  void start(std::span<const float> logits);

  size_t size() const { return logits_.size(); }
  int32_t token(size_t i) const { return all_ ? int32_t(i) : tokens_[i]; }
  std::span<const float> logits() const { return logits_; }
  /// The place of a token, -1 where it is no candidate; any id may be asked for.
  ptrdiff_t find(int32_t token) const;

  /// For whoever changes logits. usable_logit() must have made what is written.
  std::span<float> change();
  void change(size_t i, float logit) { change()[i] = logit; }
  /// All of [0, vocab) again, what was dropped at -infinity.
  void expand(int64_t vocab);

  /// Throws Error{invalid_argument} where no token can be chosen.
  float largest();
  sampling::Keys keys();
  /// e^(logit - largest).
  std::span<const float> weights();
  /// Their sum.
  double total();
  /// Of the weights, in pieces of sampling::kSumBlock.
  std::span<const double> block_sums();
  /// In nats.
  double entropy();
  /// Tokens that can be chosen.
  size_t choosable() const;

  /// Drops what has a logit below.
  void keep_from(float lowest);
  void keep(sampling::Cut cut) { keep(keys(), cut); }
  /// By other keys than the logits; keys.values[i] belongs to candidate i.
  void keep(sampling::Keys keys, sampling::Cut cut);
  /// Leaves candidate i alone.
  void keep_only(size_t i) {
    begin_narrowing();
    take(i, i + 1, [](size_t) { return true; });
    end_narrowing();
  }
  /// Drops the candidates that `drop(i)` names.
  template <class Drop>
  void drop_if(Drop drop) {
    begin_narrowing();
    take(0, size(), [&](size_t i) { return !drop(i); });
    end_narrowing();
  }

  /// Memory for stages: `select` for searches, `values` and `counts` for anything. Counts are 0 between stages.
  sampling::SelectScratch select;
  std::vector<float> values, value_maxima;
  std::vector<int32_t> counts, numbers;

 private:
  void begin_narrowing();
  // Compacts in place: a candidate never moves up, and where it is not kept the next one is written over it. No branch, since
  // half of a flat distribution goes.
  template <class Keep>
  void take(size_t begin, size_t end, Keep keep) {
    int32_t* const tokens = tokens_.data();
    float* const logits = logits_.data();
    size_t kept = kept_;
    for (size_t i = begin; i < end; ++i) {
      const bool stays = keep(i);
      tokens[kept] = all_ ? int32_t(i) : tokens[i];
      logits[kept] = logits[i];
      kept += stays;
    }
    kept_ = kept;
  }
  void end_narrowing();
  void forget();

  bool all_ = true;  // token i is i, and tokens_ means nothing
  std::vector<int32_t> tokens_;
  std::vector<float> logits_, maxima_, weights_;
  std::vector<double> sums_;
  size_t kept_ = 0;
  bool have_maxima_ = false, have_weights_ = false;
  float largest_ = 0;
  double total_ = 0;
};

/// What stages take a model's logit for: NaN cannot be chosen, +infinity is the largest number.
float usable_logit(float logit);

}  // namespace gale
