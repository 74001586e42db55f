#pragma once
#include <cstdint>

namespace gale::GALE_ISA {

template <int N>
struct Int {
  static constexpr int value = N;
};

template <int N, class F>
void with_size(int64_t n, int64_t i, const F& f) {
  if constexpr (N > 1)
    if (n < N) return with_size<N - 1>(n, i, f);
  f(i, Int<N>{});
}

// Calls f(first, Int<size>) over [0, n) in as few groups of at most Max as there can be, of even sizes.
template <int Max, class F>
void in_groups(int64_t n, const F& f) {
  const int64_t groups = (n + Max - 1) / Max;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t first = n * g / groups;
    with_size<Max>(n * (g + 1) / groups - first, first, f);
  }
}

// Calls f(Int<0>) .. f(Int<Count - 1>).
template <int Count, int I = 0, class F>
[[gnu::always_inline]] inline void for_columns(const F& f) {
  f(Int<I>{});
  if constexpr (I + 1 < Count) for_columns<Count, I + 1>(f);
}

}  // namespace gale::GALE_ISA
