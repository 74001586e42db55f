#pragma once
#include "kernels/cpu/common/entries.h"
#include "kernels/cpu/common/tile_down.h"

// The matmul kernels of layouts whose groups run down columns.
namespace gale::GALE_ISA {

// Columns whose numbers stay in a cache while all panels that share them pass; of a few rows as many as make long streams.
constexpr int64_t kDownPiece = 1024, kLongDownPiece = 4096;
constexpr int64_t kDownBlock = 64;  // rows whose inputs stay there beside them

// Tiles of P panels `period` apart, and of one where fewer are left.
template <int Bits, int P, int R>
void walk_sharing(const MatmulArgs& a, int64_t panel_begin, int64_t panel_end, int64_t piece) {
  const auto least = [](int64_t x, int64_t y) { return x < y ? x : y; };
  const int64_t period = a.geometry.period, units = piece / kDownUnit;
  const auto rows = [&]<int Panels>(Int<Panels>, int64_t panel, int64_t begin, int64_t end, int64_t u) {
    in_groups<R>(end - begin, [&](int64_t first, auto count) {
      const int64_t next = first > 0 || a.rows == 1 ? 0 : Panels * period * a.geometry.panel_bytes();
      tile_down<Bits, Panels, count.value>(Tile{a, panel, begin + first, u, least(u + units, a.geometry.units), next, 0, period});
    });
  };
  const int64_t block = kDownBlock / R * R;
  for (int64_t row = 0; row < a.rows; row += block)
    for (int64_t first = panel_begin; first < least(panel_begin + period, panel_end); ++first)
      for (int64_t u = 0; u < a.geometry.units; u += units) {
        const int64_t end = least(row + block, a.rows);
        int64_t panel = first;
        for (; panel + (P - 1) * period < panel_end; panel += P * period) rows(Int<P>{}, panel, row, end, u);
        for (; panel < panel_end; panel += period) rows(Int<1>{}, panel, row, end, u);
      }
}

template <int Bits>
void walk_down(const MatmulArgs& a, int64_t panel_begin, int64_t panel_end) {
  constexpr int kMany = kLaneVectors > 1 ? 2 : 1, kHiding = 2 * kMany;  // panels: of a few rows as many as hide a chain's latency
  if (a.rows <= 2)
    walk_sharing<Bits, kHiding, 2>(a, panel_begin, panel_end, kLongDownPiece);
  else
    walk_sharing<Bits, kMany, kRowTile>(a, panel_begin, panel_end, kDownPiece);
}

// Every size of group x type of number.
template <uint8_t Bits>
constexpr auto down_kernels() {
  constexpr ScaleType kTypes[] = {ScaleType::f16, ScaleType::bf16, ScaleType::f32};
  constexpr int kGroups = sizeof kDownGroups / sizeof kDownGroups[0];
  Entries<kGroups * 3> out{};
  for (int i = 0; i < out.kCount; ++i) {
    const int16_t group = kDownGroups[i % kGroups];
    const Layout layout{
        .kind = Layout::Kind::down, .bits = Bits, .group = group, .block = group, .top = kTypes[i / kGroups], .real_zeros = true};
    out.all[i] = {layout, nullptr, &walk_down<Bits>};
  }
  return out;
}
constexpr auto kDown = in_one(down_kernels<2>().all, down_kernels<3>().all, down_kernels<4>().all, down_kernels<8>().all);
extern constexpr std::span<const LayoutKernels> kDownKernels = kDown.all;

}  // namespace gale::GALE_ISA
