#pragma once
#include "kernels/cpu/common/tile_dense.h"
#include "kernels/cpu/common/tile_exact.h"
#include "kernels/cpu/common/tile_grouped.h"
#include "kernels/cpu/common/tile_pairs.h"
#include "kernels/cpu/common/walk.h"

// The matmul kernels of every layout.
namespace gale::GALE_ISA {

template <int Bits>
struct OneLevel {
  static constexpr int kRows = kOneLevelRows, kPanels = 1;
  static constexpr int64_t kInputBytes = 1;
  template <int N>
  static void tile(const Tile& t) {
    tile_one_level<Bits, N>(t);
  }
};
template <int Bits, int Group, bool Minimum>
struct TwoLevel {
  static constexpr int kRows = kTwoLevelRows, kPanels = 1;
  static constexpr int64_t kInputBytes = 1;
  template <int N>
  static void tile(const Tile& t) {
    tile_two_level<Bits, Group, Minimum, N>(t);
  }
};
template <int Bits>
struct Exact {
  static constexpr int kRows = kRowTile, kPanels = 1;
  static constexpr int64_t kInputBytes = 4;
  template <int N>
  static void tile(const Tile& t) {
    tile_exact<Bits, N>(t);
  }
};
constexpr Layout one_level(uint8_t bits) {
  return {Layout::Kind::grouped, DType::f32, bits, 32, 32, ScaleType::f16, ScaleType::none, false, uint8_t(1 << (bits - 1))};
}
constexpr Layout two_level(uint8_t bits, int16_t group, ScaleType sub, bool minimum) {
  return {
      Layout::Kind::grouped, DType::f32, bits, group, 256, ScaleType::f16, sub, minimum, uint8_t(minimum ? 0 : 1 << (bits - 1))};
}

extern const LayoutKernels kLayouts[] = {
    {dense_layout(DType::f32), nullptr, &walk_dense<F32Tile, kLaneVectors>},
    {dense_layout(DType::f16), nullptr, &walk_dense<F16Tile, kLaneVectors>},
    {dense_layout(DType::bf16), &walk_dense<PairsTile, kPairVectors>, &walk_dense<Bf16Tile, kLaneVectors>},
    {one_level(8), &walk<OneLevel<8>>, &walk<Exact<8>>},
    {one_level(4), &walk<OneLevel<4>>, &walk<Exact<4>>},
    {two_level(4, 32, ScaleType::u6, true), &walk<TwoLevel<4, 32, true>>, &walk<Exact<4>>},
    {two_level(6, 16, ScaleType::i8, false), &walk<TwoLevel<6, 16, false>>, &walk<Exact<6>>},
};
extern const size_t kLayoutCount = sizeof kLayouts / sizeof kLayouts[0];

}  // namespace gale::GALE_ISA
