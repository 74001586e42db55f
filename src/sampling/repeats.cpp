#include "sampling/repeats.h"

#include <algorithm>

namespace gale::stages {

// With the text turned round an end is a beginning, and how much of the beginning stands at each place is the Z function: what
// lies inside the match that reaches farthest is known from the beginning itself, so no token is compared twice.
Repeats find_repeats(const Window& text, std::vector<int32_t>& memory) {
  const size_t n = text.size();
  memory.resize(2 * n + 1);
  int32_t* turned = memory.data();
  int32_t* z = turned + n;
  for (size_t i = 0; i < n; ++i) turned[i] = text[n - 1 - i];
  z[0] = int32_t(n);
  size_t left = 0, right = 0;  // the match that reaches farthest
  for (size_t i = 1; i < n; ++i) {
    size_t length = i < right ? std::min(right - i, size_t(z[i - left])) : 0;
    while (i + length < n && turned[length] == turned[i + length]) ++length;
    if (i + length > right) left = i, right = i + length;
    z[i] = int32_t(length);
  }
  z[n] = 0;
  return {{turned, n}, {z, n + 1}};
}

}  // namespace gale::stages
