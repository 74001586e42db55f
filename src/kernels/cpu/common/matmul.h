#pragma once
#include <span>

#include "kernels/cpu/common/tile_exact.h"
#include "kernels/cpu/common/walk.h"

// What the lists of matmul kernels share: matmul_known.h and matmul_affine.h, which are compiled apart because they take long.
namespace gale::GALE_ISA {

template <class Codes, class Scale>
struct Exact {
  static constexpr int kRows = kRowTile, kPanels = 1;
  static constexpr int64_t kInputBytes = 4;
  template <int N>
  static void tile(const Tile& t) {
    tile_exact<Codes, Scale, N>(t);
  }
};
// Entries of layouts that share their kernels.
template <int N>
struct Entries {
  static constexpr int kCount = N;
  LayoutKernels all[N];
};
// All lists as one.
template <size_t... N>
constexpr auto in_one(const LayoutKernels (&... lists)[N]) {
  Entries<int((N + ...))> out{};
  int count = 0;
  const auto add = [&](const auto& list) {
    for (const LayoutKernels& entry : list) out.all[count++] = entry;
  };
  (add(lists), ...);
  return out;
}
constexpr int16_t kWidths[] = {32, 64, 128, 256};
constexpr int kWidthCount = sizeof kWidths / sizeof kWidths[0];

}  // namespace gale::GALE_ISA
