#include "sampling/softmax.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace gale::sampling {
namespace {

constexpr size_t kLanes = 16;

/// e^x for x <= 0: x = n ln 2 + r with |r| <= ln(2) / 2, a Taylor polynomial of degree 7 for e^r, and 2^n through the exponent
/// bits. The sum with 1.5 x 2^23 rounds to the nearest integer without a branch or a call.
inline float exp_nonpositive(float x) {
  constexpr float kLowest = -87.0f, kRound = 12582912.0f, kLog2e = 1.44269504088896341f;
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  const float clamped = x > kLowest ? x : kLowest;
  const float n = (clamped * kLog2e + kRound) - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const float power = std::bit_cast<float>((int32_t(n) + 127) << 23);
  return x > kLowest ? p * power : 0.0f;
}

/// The sum of f(i) for i in [begin, end): kLanes sums side by side, added up one after the other.
template <class F>
double lane_sum(size_t begin, size_t end, F f) {
  float lanes[kLanes] = {};
  size_t i = begin;
  for (; i + kLanes <= end; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += f(i + lane);
  double sum = 0;
  for (const float lane : lanes) sum += double(lane);
  for (; i < end; ++i) sum += double(f(i));
  return sum;
}

}  // namespace

void block_maxima(std::span<const float> keys, std::vector<float>& out) {
  out.resize((keys.size() + kMaxBlock - 1) / kMaxBlock);
  const size_t whole = keys.size() / kMaxBlock;
  for (size_t block = 0; block < whole; ++block) {
    const float* x = keys.data() + block * kMaxBlock;
    float lanes[4] = {x[0], x[1], x[2], x[3]};
    for (size_t i = 4; i < kMaxBlock; i += 4)
      for (size_t lane = 0; lane < 4; ++lane) lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
    out[block] = std::max(std::max(lanes[0], lanes[1]), std::max(lanes[2], lanes[3]));
  }
  if (whole < out.size()) out[whole] = *std::max_element(keys.begin() + ptrdiff_t(whole * kMaxBlock), keys.end());
}

double exponentials(std::span<const float> logits, float largest, std::vector<float>& weights, std::vector<double>& sums) {
  weights.resize(logits.size());
  sums.clear();
  const float* x = logits.data();
  float* w = weights.data();
  double total = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kSumBlock) {
    const size_t end = std::min(logits.size(), begin + kSumBlock);
    sums.push_back(lane_sum(begin, end, [&](size_t i) { return w[i] = exp_nonpositive(x[i] - largest); }));
    total += sums.back();
  }
  return total;
}

// -sum p ln p with p = w / total and ln p = logit - largest - ln total.
double entropy(std::span<const float> logits, float largest, std::span<const float> weights, double total) {
  const float* x = logits.data();
  const float* w = weights.data();
  double sum = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kSumBlock)
    sum += lane_sum(begin, std::min(logits.size(), begin + kSumBlock), [&](size_t i) {
      const float term = w[i] * (x[i] - largest);
      return w[i] > 0 ? term : 0.0f;  // 0 x -infinity
    });
  return std::log(total) - sum / total;
}

}  // namespace gale::sampling
