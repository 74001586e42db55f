#pragma once
#include "kernels/cpu/common/tile_affine.h"
#include "kernels/cpu/common/tile_dense.h"
#include "kernels/cpu/common/tile_exact.h"
#include "kernels/cpu/common/tile_grouped.h"
#include "kernels/cpu/common/tile_number_pairs.h"
#include "kernels/cpu/common/tile_numbers.h"
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
template <class Codes>
struct Affine {
  static constexpr int kRows = kTwoLevelRows, kPanels = 1;
  static constexpr int64_t kInputBytes = 1;
  template <int N>
  static void tile(const Tile& t) {
    tile_affine<Codes, N>(t);
  }
};
template <class Codes>
struct Sixteen {
  static constexpr int kRows = kTwoLevelRows, kPanels = 1;
  static constexpr int64_t kInputBytes = 1;
  template <int N>
  static void tile(const Tile& t) {
    tile_sixteen<Codes, N>(t);
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

// Entries of layouts that share their kernels.
template <int N>
struct Entries {
  static constexpr int kCount = N;
  LayoutKernels all[N];
};
constexpr int16_t kWidths[] = {32, 64, 128, 256};
constexpr int kWidthCount = sizeof kWidths / sizeof kWidths[0];

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

// Every width of group x type of scale x form.
template <uint8_t Bits>
constexpr auto affine_kernels() {
  constexpr ScaleType kTypes[] = {ScaleType::f16, ScaleType::bf16, ScaleType::f32};
  Entries<kWidthCount * 3 * 3> out{};
  for (int i = 0; i < out.kCount; ++i) {
    const int form = i / (kWidthCount * 3);
    const Layout layout{.kind = Layout::Kind::grouped,
                        .bits = Bits,
                        .group = kWidths[i % kWidthCount],
                        .block = kWidths[i % kWidthCount],
                        .top = kTypes[i / kWidthCount % 3],
                        .minimum = form == 1,
                        .bias = uint8_t(form == 0 ? 1 << (Bits - 1) : 0),
                        .real_zeros = form == 2};
    out.all[i] = {layout, &walk<Affine<Plain<Bits>>>, &walk<Exact<Plain<Bits>, AnyScale>>};
  }
  return out;
}

// 4-bit floats under e4m3 scales for each 16 and an f32 one.
constexpr auto sixteen_kernels() {
  Entries<2 * 3> out{};
  for (int i = 0; i < out.kCount; ++i) {
    const Layout layout{.kind = Layout::Kind::grouped,
                        .bits = 4,
                        .group = 16,
                        .block = kWidths[1 + i % 3],
                        .top = ScaleType::f32,
                        .sub = ScaleType::e4m3,
                        .table = CodeTable::e2m1,
                        .divided = i >= 3};
    using Codes = Through<CodeTable::e2m1, 4>;
    out.all[i] = {layout, &walk<Sixteen<Codes>>, &walk<Exact<Codes, AnyScale>>};
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
constexpr int kKnownCount = sizeof kKnownLayouts / sizeof kKnownLayouts[0];

// The entries of all lists, each layout once: where two serve it, the one made for it.
template <class... Lists>
constexpr auto join(const Lists&... lists) {
  struct {
    int count = 0;
    LayoutKernels all[kKnownCount + (Lists::kCount + ...)] = {};
  } out;
  const auto add = [&](const LayoutKernels& entry) {
    for (int i = 0; i < out.count; ++i)
      if (out.all[i].layout == entry.layout) return;
    out.all[out.count++] = entry;
  };
  const auto add_all = [&](const auto& list) {
    for (const LayoutKernels& entry : list.all) add(entry);
  };
  for (const LayoutKernels& known : kKnownLayouts) add(known);
  (add_all(lists), ...);
  return out;
}

constexpr auto kEveryLayout =
    join(number_kernels<E4m3>(CodeTable::e4m3, 8, &walk_number_pairs<E4m3>),
         number_kernels<E5m2>(CodeTable::e5m2, 8, &walk_number_pairs<E5m2>), number_kernels<Numbers4>(CodeTable::nf4, 4),
         number_kernels<Numbers4>(CodeTable::fp4, 4), affine_kernels<2>(), affine_kernels<3>(), affine_kernels<4>(),
         affine_kernels<5>(), affine_kernels<6>(), affine_kernels<8>(), sixteen_kernels());
extern const LayoutKernels* const kLayouts = kEveryLayout.all;
extern const size_t kLayoutCount = kEveryLayout.count;

}  // namespace gale::GALE_ISA
