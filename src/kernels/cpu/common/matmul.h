#pragma once
#include "kernels/cpu/common/entries.h"
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
constexpr int16_t kWidths[] = {32, 64, 128, 256};
constexpr int kWidthCount = sizeof kWidths / sizeof kWidths[0];

}  // namespace gale::GALE_ISA
