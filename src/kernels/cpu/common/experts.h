#pragma once
#include <cstdint>

#include "kernels/cpu/common/math.h"
#include "kernels/cpu/kernels.h"

// What a mixture of experts does row by row: choosing the experts, and adding up what they gave. A row's bits depend on the row
// alone.
namespace gale::GALE_ISA {

// The `used` largest of n logits into best, largest first, equal ones by number: one pass that keeps the best so far in order.
// Whatever the logits are, NaN too, the numbers are valid and differ.
inline void choose_experts(const float* logits, int64_t n, int64_t used, int32_t* best) {
  for (int64_t e = 0; e < n; ++e) {
    int64_t rank = e < used ? e : used;
    while (rank > 0 && logits[e] > logits[best[rank - 1]]) --rank;
    for (int64_t i = e < used ? e : used - 1; i > rank; --i) best[i] = best[i - 1];
    if (rank < used) best[rank] = int32_t(e);
  }
}

// Sum of e^(logit - largest).
inline float sum_exp(const float* logits, int64_t n, float largest) {
  f32x16 total = zero();
  for (int64_t i = 0; i < n; i += 16) {
    float terms[16] = {};
    store_first(terms, exp(sub(load_first(logits + i, n - i), set1(largest))), n - i);
    total = add(total, load(terms));
  }
  return reduce_add(total);
}

// A softmax over all logits, of which the chosen ones stay; over the chosen ones alone where they are to sum to 1.
void route(const RouteArgs& a, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const float* logits = a.logits + r * a.experts;
    int32_t* chosen = a.chosen + r * a.used;
    float* weights = a.weights + r * a.used;
    choose_experts(logits, a.experts, a.used, chosen);
    const float largest = logits[chosen[0]];
    for (int64_t i = 0; i < a.used; ++i) weights[i] = logits[chosen[i]];
    for (int64_t i = 0; i < a.used; i += 16)
      store_first(weights + i, exp(sub(load_first(weights + i, a.used - i), set1(largest))), a.used - i);
    float total = 0;
    if (a.renormalize)
      for (int64_t i = 0; i < a.used; ++i) total += weights[i];
    else
      total = sum_exp(logits, a.experts, largest);
    for (int64_t i = 0; i < a.used; ++i) weights[i] /= total;
  }
}

void sum_experts(const ExpertSumArgs& a, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const int32_t* place = a.place + r * a.used;
    const float* weights = a.weights + r * a.used;
    for (int64_t i = 0; i < a.width; i += 16) {
      const int64_t n = a.width - i;
      const auto from = [&](int64_t rank) { return load_first(a.y + place[rank] * a.y_stride + i, n); };
      f32x16 sum = mul(from(0), set1(weights[0]));
      for (int64_t rank = 1; rank < a.used; ++rank) sum = fma(from(rank), set1(weights[rank]), sum);
      store_first(a.out + r * a.out_stride + i, sum, n);
    }
  }
}

}  // namespace gale::GALE_ISA
