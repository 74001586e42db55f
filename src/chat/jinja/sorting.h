#pragma once
#include <cstddef>
#include <numeric>
#include <vector>

namespace gale::jinja {

/// The order that sorts n things stably, by a merge that stays inside its arrays whatever `less(i, j)` answers or throws: an
/// order with NaN in it is none, and std::sort may then run off its range.
template <class Less>
std::vector<size_t> stable_order(size_t n, Less less) {
  std::vector<size_t> from(n), to(n);
  std::iota(from.begin(), from.end(), size_t(0));
  for (size_t width = 1; width < n; width *= 2) {
    for (size_t start = 0; start < n; start += 2 * width) {
      const size_t middle = start + width < n ? start + width : n;
      const size_t end = middle + width < n ? middle + width : n;
      size_t a = start, b = middle;
      for (size_t i = start; i < end; ++i) {
        const bool right = a == middle || (b < end && less(from[b], from[a]));
        to[i] = from[right ? b++ : a++];
      }
    }
    from.swap(to);
  }
  return from;
}

}  // namespace gale::jinja
