#pragma once
#include "kernels/cpu/common/matmul.h"
#include "kernels/cpu/common/tile_affine.h"

// The matmul kernels of whole families of layouts: of each the ones that have none made for them (matmul_known.h).
namespace gale::GALE_ISA {

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

constexpr auto kAffineAndSixteen =
    in_one(affine_kernels<2>().all, affine_kernels<3>().all, affine_kernels<4>().all, affine_kernels<5>().all,
           affine_kernels<6>().all, affine_kernels<8>().all, sixteen_kernels().all);
extern constexpr std::span<const LayoutKernels> kAffineKernels = kAffineAndSixteen.all;

}  // namespace gale::GALE_ISA
