#include "sampling/candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/fail.h"
#include "sampling/softmax.h"

namespace gale {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity(), kHighest = std::numeric_limits<float>::max();

}  // namespace

float usable_logit(float logit) {
  const float below = logit < kHighest ? logit : kHighest;
  return logit == logit ? below : kLowest;
}

void Candidates::start(std::span<const float> logits) {
  all_ = true;
  logits_.resize(logits.size());
  const float* from = logits.data();
  float* to = logits_.data();
  for (size_t i = 0; i < logits.size(); ++i) {
    const float x = from[i], below = x < kHighest ? x : kHighest;
    to[i] = x == x ? below : kLowest;
  }
  forget();
}

void Candidates::forget() { have_maxima_ = have_weights_ = false; }

ptrdiff_t Candidates::find(int32_t token) const {
  if (all_) return token >= 0 && size_t(token) < logits_.size() ? token : -1;
  const auto end = tokens_.begin() + ptrdiff_t(logits_.size());
  const auto at = std::lower_bound(tokens_.begin(), end, token);
  return at != end && *at == token ? at - tokens_.begin() : -1;
}

std::span<float> Candidates::change() {
  forget();
  return logits_;
}

void Candidates::expand(int64_t vocab) {
  if (all_) return;
  values.assign(size_t(vocab), kLowest);
  for (size_t i = 0; i < size(); ++i) values[size_t(tokens_[i])] = logits_[i];
  logits_.swap(values);
  all_ = true;
  forget();
}

sampling::Keys Candidates::keys() {
  if (!have_maxima_) {
    sampling::block_maxima(logits_, maxima_);
    largest_ = maxima_.empty() ? kLowest : *std::max_element(maxima_.begin(), maxima_.end());
    have_maxima_ = true;
  }
  return {logits_, maxima_};
}

float Candidates::largest() {
  keys();
  require(largest_ != kLowest, ErrorCode::invalid_argument,
          "no token can be chosen: the model, the masks and the biases leave each of {} at -infinity or NaN", size());
  return largest_;
}

std::span<const float> Candidates::weights() {
  if (!have_weights_) {
    total_ = sampling::exponentials(logits_, largest(), weights_, sums_);
    have_weights_ = true;
  }
  return weights_;
}

double Candidates::total() {
  weights();
  return total_;
}

std::span<const double> Candidates::block_sums() {
  weights();
  return sums_;
}

double Candidates::entropy() {
  const auto w = weights();
  return sampling::entropy(logits_, largest(), w, total_);
}

size_t Candidates::choosable() const {
  int32_t n = 0;
  for (const float logit : logits_) n += logit != kLowest ? 1 : 0;
  return size_t(n);
}

void Candidates::keep_from(float lowest) { keep({lowest, SIZE_MAX}); }

void Candidates::keep(sampling::Keys keys, sampling::Cut cut) {
  if (cut.key == kLowest && cut.equal >= size()) return;
  begin_narrowing();
  const float* const x = keys.values.data();
  size_t ties = cut.equal;
  const auto stays = [&ties, x, key = cut.key](size_t i) {
    const bool tie = (x[i] == key) & (ties > 0);
    ties -= tie;
    return tie | (x[i] > key);
  };
  for (size_t block = 0; block < keys.maxima.size(); ++block)
    if (keys.maxima[block] >= cut.key)
      take(block * sampling::kMaxBlock, std::min(keys.values.size(), (block + 1) * sampling::kMaxBlock), stays);
  end_narrowing();
}

void Candidates::begin_narrowing() {
  kept_ = 0;
  if (tokens_.size() < logits_.size()) tokens_.resize(logits_.size());
}

void Candidates::end_narrowing() {
  all_ = false;
  logits_.resize(kept_);
  forget();
}

}  // namespace gale
