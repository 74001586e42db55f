#pragma once
#include "kernels/cpu/common/tile_dense.h"
#include "kernels/cpu/common/tile_exact.h"
#include "kernels/cpu/common/tile_grouped.h"
#include "kernels/cpu/common/tile_pairs.h"
#include "kernels/cpu/common/walk.h"

// The matmul kernels of every layout.
namespace gale::GALE_ISA {

template <Layout L, class Codes, class Scale>
struct OneLevel {
  static constexpr int kRows = kOneLevelRows, kPanels = 1;
  static constexpr int64_t kInputBytes = 1;
  template <int N>
  static void tile(const Tile& t) {
    tile_one_level<Codes, Scale, unit_columns(L) / L.group, L.group / 32, N>(t);
  }
};
template <Layout L>
struct TwoLevel {
  static constexpr int kRows = kTwoLevelRows, kPanels = 1;
  static constexpr int64_t kInputBytes = 1;
  template <int N>
  static void tile(const Tile& t) {
    tile_two_level<Plain<L.bits>, L.group, L.minimum, N>(t);
  }
};
template <class Codes, class Scale>
struct Exact {
  static constexpr int kRows = kRowTile, kPanels = 1;
  static constexpr int64_t kInputBytes = 4;
  template <int N>
  static void tile(const Tile& t) {
    tile_exact<Codes, Scale, N>(t);
  }
};
constexpr Layout one_level(uint8_t bits) {
  return {.kind = Layout::Kind::grouped,
          .bits = bits,
          .group = 32,
          .block = 32,
          .top = ScaleType::f16,
          .bias = uint8_t(1 << (bits - 1))};
}
constexpr Layout with_zeros(int16_t group) {
  return {.kind = Layout::Kind::grouped, .bits = 4, .group = group, .block = group, .top = ScaleType::f16, .zeros = true};
}
constexpr Layout through_table(CodeTable table) {
  return {.kind = Layout::Kind::grouped, .bits = 4, .group = 32, .block = 32, .top = ScaleType::e8m0, .table = table};
}
constexpr Layout two_level(uint8_t bits, int16_t group, ScaleType sub, bool minimum) {
  return {.kind = Layout::Kind::grouped,
          .bits = bits,
          .group = group,
          .block = 256,
          .top = ScaleType::f16,
          .sub = sub,
          .minimum = minimum,
          .bias = uint8_t(minimum ? 0 : 1 << (bits - 1))};
}

template <Layout L, class Codes = Plain<L.bits>, class Scale = F16Scale>
constexpr LayoutKernels one_level_kernels{L, &walk<OneLevel<L, Codes, Scale>>, &walk<Exact<Codes, Scale>>};
template <Layout L>
constexpr LayoutKernels two_level_kernels{L, &walk<TwoLevel<L>>, &walk<Exact<Plain<L.bits>, F16Scale>>};

extern const LayoutKernels kLayouts[] = {
    {dense_layout(DType::f32), nullptr, &walk_dense<F32Tile, kLaneVectors>},
    {dense_layout(DType::f16), nullptr, &walk_dense<F16Tile, kLaneVectors>},
    {dense_layout(DType::bf16), &walk_dense<PairsTile, kPairVectors>, &walk_dense<Bf16Tile, kLaneVectors>},
    one_level_kernels<one_level(8)>,
    one_level_kernels<one_level(4)>,
    one_level_kernels<with_zeros(32), WithZeros>,
    one_level_kernels<with_zeros(64), WithZeros>,
    one_level_kernels<with_zeros(128), WithZeros>,
    one_level_kernels<with_zeros(256), WithZeros>,
    one_level_kernels<through_table(CodeTable::e2m1), E2m1, E8m0Scale>,
    two_level_kernels<two_level(4, 32, ScaleType::u6, true)>,
    two_level_kernels<two_level(5, 32, ScaleType::u6, true)>,
    two_level_kernels<two_level(6, 16, ScaleType::i8, false)>,
};
extern const size_t kLayoutCount = sizeof kLayouts / sizeof kLayouts[0];

}  // namespace gale::GALE_ISA
