#pragma once
#include "kernels/cpu/common/matmul.h"
#include "kernels/cpu/common/tile_dense.h"
#include "kernels/cpu/common/tile_grouped.h"
#include "kernels/cpu/common/tile_number_pairs.h"
#include "kernels/cpu/common/tile_numbers.h"
#include "kernels/cpu/common/tile_pairs.h"

// The matmul kernels of layouts that have one made for them, or for their numbers.
namespace gale::GALE_ISA {

template <Layout L, class Codes, class Scale>
struct OneLevel {
  static constexpr int kRows = kOneLevelRows, kPanels = 1;
  static constexpr int64_t kInputBytes = 1;
  template <int N>
  static void tile(const Tile& t) {
    tile_one_level<Codes, Scale, L.minimum, unit_columns(L) / L.group, L.group / 32, N>(t);
  }
};
template <Layout L, class Codes, class Scale>
struct TwoLevel {
  static constexpr int kRows = kTwoLevelRows, kPanels = 1;
  static constexpr int64_t kInputBytes = 1;
  template <int N>
  static void tile(const Tile& t) {
    tile_two_level<Codes, Scale, L.sub, L.group, L.minimum, N>(t);
  }
};
constexpr Layout one_level(uint8_t bits, ScaleType top = ScaleType::f16) {
  return {.kind = Layout::Kind::grouped, .bits = bits, .group = 32, .block = 32, .top = top, .bias = uint8_t(1 << (bits - 1))};
}
constexpr Layout with_minimum(uint8_t bits) {
  return {.kind = Layout::Kind::grouped, .bits = bits, .group = 32, .block = 32, .top = ScaleType::f16, .minimum = true};
}
constexpr Layout whole_block(uint8_t bits, ScaleType top, uint8_t bias) {
  return {.kind = Layout::Kind::grouped, .bits = bits, .group = 256, .block = 256, .top = top, .bias = bias};
}
constexpr Layout with_zeros(int16_t group) {
  return {.kind = Layout::Kind::grouped, .bits = 4, .group = group, .block = group, .top = ScaleType::f16, .zeros = true};
}
constexpr Layout through_table(CodeTable table, ScaleType top) {
  return {.kind = Layout::Kind::grouped, .bits = 4, .group = 32, .block = 32, .top = top, .table = table};
}
constexpr Layout two_level_table(CodeTable table, uint8_t bits, int16_t group, ScaleType top) {
  return {.kind = Layout::Kind::grouped,
          .bits = bits,
          .group = group,
          .block = 256,
          .top = top,
          .sub = ScaleType::i8,
          .table = table};
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
template <Layout L, class Codes = Plain<L.bits>, class Scale = F16Scale>
constexpr LayoutKernels two_level_kernels{L, &walk<TwoLevel<L, Codes, Scale>>, &walk<Exact<Codes, Scale>>};
template <CodeTable T, uint8_t Bits, int16_t Group, ScaleType Top, class Scale>
constexpr LayoutKernels two_level_table_kernels =
    two_level_kernels<two_level_table(T, Bits, Group, Top), Through<T, Bits>, Scale>;

// Numbers under f32 scales, groups of every width. `rounded`: for those that bf16 holds.
template <class Numbers>
constexpr auto number_kernels(CodeTable table, uint8_t bits, MatmulKernel rounded = nullptr) {
  Entries<kWidthCount> out{};
  for (int i = 0; i < kWidthCount; ++i) {
    const Layout layout{.kind = Layout::Kind::grouped,
                        .bits = bits,
                        .group = kWidths[i],
                        .block = kWidths[i],
                        .top = ScaleType::f32,
                        .table = table};
    out.all[i] = {layout, rounded, &walk_dense<NumbersTiles<Numbers>::template Tiles, kLaneVectors>};
  }
  return out;
}

constexpr LayoutKernels kKnownLayouts[] = {
    {dense_layout(DType::f32), nullptr, &walk_dense<F32Tile, kLaneVectors>},
    {dense_layout(DType::f16), nullptr, &walk_dense<F16Tile, kLaneVectors>},
    {dense_layout(DType::bf16), &walk_dense<PairsTile, kPairVectors>, &walk_dense<Bf16Tile, kLaneVectors>},
    one_level_kernels<one_level(8)>,
    one_level_kernels<one_level(4)>,
    one_level_kernels<with_zeros(32), WithZeros>,
    one_level_kernels<with_zeros(64), WithZeros>,
    one_level_kernels<with_zeros(128), WithZeros>,
    one_level_kernels<with_zeros(256), WithZeros>,
    one_level_kernels<one_level(5)>,
    one_level_kernels<with_minimum(4)>,
    one_level_kernels<with_minimum(5)>,
    one_level_kernels<one_level(8, ScaleType::e4m3), Plain<8>, E4m3Scale>,
    one_level_kernels<whole_block(8, ScaleType::f32, 128), Plain<8>, F32Scale>,
    one_level_kernels<whole_block(2, ScaleType::f16, 1), Ternary>,
    one_level_kernels<through_table(CodeTable::e2m1, ScaleType::e8m0), Through<CodeTable::e2m1, 4>, E8m0Scale>,
    one_level_kernels<through_table(CodeTable::iq4, ScaleType::f16), Through<CodeTable::iq4, 4>>,
    two_level_kernels<two_level(4, 32, ScaleType::u6, true)>,
    two_level_kernels<two_level(5, 32, ScaleType::u6, true)>,
    two_level_kernels<two_level(6, 16, ScaleType::i8, false)>,
    two_level_kernels<two_level(2, 16, ScaleType::u4, true)>,
    two_level_kernels<two_level(3, 16, ScaleType::i8, false)>,
    two_level_table_kernels<CodeTable::iq4, 4, 32, ScaleType::f16, F16Scale>,
    two_level_table_kernels<CodeTable::iq3_s, 4, 32, ScaleType::f32, F32Scale>,
    two_level_table_kernels<CodeTable::iq3_xxs, 4, 32, ScaleType::f32, F32Scale>,
    two_level_table_kernels<CodeTable::iq2, 3, 32, ScaleType::f32, F32Scale>,
    two_level_table_kernels<CodeTable::iq2, 3, 16, ScaleType::f32, F32Scale>,
    two_level_table_kernels<CodeTable::iq1, 3, 32, ScaleType::f32, F32Scale>,
    two_level_table_kernels<CodeTable::iq1, 3, 16, ScaleType::f32, F32Scale>,
};

constexpr auto kKnownAndNumbers =
    in_one(kKnownLayouts, number_kernels<E4m3>(CodeTable::e4m3, 8, &walk_number_pairs<E4m3>).all,
           number_kernels<E5m2>(CodeTable::e5m2, 8, &walk_number_pairs<E5m2>).all,
           number_kernels<Numbers4>(CodeTable::nf4, 4).all, number_kernels<Numbers4>(CodeTable::fp4, 4).all);
extern constexpr std::span<const LayoutKernels> kKnownKernels = kKnownAndNumbers.all;

}  // namespace gale::GALE_ISA
