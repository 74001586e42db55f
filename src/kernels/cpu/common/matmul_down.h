#pragma once
#include "kernels/cpu/common/entries.h"
#include "kernels/cpu/common/tile_scaled_inputs.h"

// The matmul kernels of layouts whose groups run down columns.
namespace gale::GALE_ISA {

// Panels that share numbers, among those that a call is given: `count` from `panel` on, `period` apart.
struct Sharing {
  int64_t panel, count;
};
// Calls f(Sharing) for panels [begin, end), counted in the order of what they share.
template <class F>
void for_sharing(const MatmulArgs& a, int64_t begin, int64_t end, const F& f) {
  const int64_t group = a.layout.group, period = a.geometry.period;
  while (begin < end) {
    const int64_t next = (begin / group + 1) * group, last = next < end ? next : end;
    f(Sharing{begin % group * period + begin / group, last - begin});
    begin = last;
  }
}
// Calls f(panel, Int<P>) for tiles of P of them, then of one.
template <int P, class F>
void for_tiles(const Sharing& of, int64_t period, const F& f) {
  int64_t i = 0;
  for (; i + P <= of.count; i += P) f(of.panel + i * period, Int<P>{});
  for (; i < of.count; ++i) f(of.panel + i * period, Int<1>{});
}

// Calls f(first, Int<R>) for groups of R of `n` rows, then Int<1> for each that is left: fewer sizes than in_groups has, for code
// that every column of a unit is written out in.
template <int R, class F>
void by_rows(int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + R <= n; i += R) f(i, Int<R>{});
  for (; i < n; ++i) f(i, Int<1>{});
}

// Columns whose numbers stay in a cache while all panels that share them pass; of a few rows as many as make long streams. And
// rows whose inputs stay there beside them.
constexpr int64_t kExactPiece = 1024, kExactLongPiece = 4096, kExactRows = 64;

template <int Bits, int P, int R>
void walk_exact(const MatmulArgs& a, int64_t begin, int64_t end, int64_t columns) {
  const auto least = [](int64_t x, int64_t y) { return x < y ? x : y; };
  const int64_t units = columns / kDownUnit, period = a.geometry.period;
  for (int64_t row = 0; row < a.rows; row += kExactRows)
    for_sharing(a, begin, end, [&](const Sharing& sharing) {
      for (int64_t u = 0; u < a.geometry.units; u += units)
        for_tiles<P>(sharing, period, [&](int64_t panel, auto panels) {
          by_rows<R>(least(kExactRows, a.rows - row), [&](int64_t first, auto rows) {
            const int64_t ahead = first > 0 || a.rows == 1 ? 0 : panels.value * period * a.geometry.panel_bytes();
            tile_down<Bits, panels.value, rows.value>(
                Tile{a, panel, row + first, u, least(u + units, a.geometry.units), ahead, 0, period});
          });
        });
    });
}

template <int Bits>
void walk_down_exact(const MatmulArgs& a, int64_t panel_begin, int64_t panel_end) {
  constexpr int kMany = kLaneVectors > 1 ? 2 : 1, kHiding = 2 * kMany;  // panels: of a few rows as many as hide a chain's latency
  if (a.rows <= 2)
    walk_exact<Bits, kHiding, 2>(a, panel_begin, panel_end, kExactLongPiece);
  else
    walk_exact<Bits, kMany, kRowTile>(a, panel_begin, panel_end, kExactPiece);
}

// Rows and units whose inputs wait, scaled and rounded, for all panels that share them: 90 KB.
constexpr int64_t kWaiting = 128, kWaitingRows = 8;

template <int Bits>
void walk_down(const MatmulArgs& a, int64_t panel_begin, int64_t panel_end) {
  constexpr int P = kLaneVectors > 1 ? 4 : 1, R = 2;
  const auto least = [](int64_t x, int64_t y) { return x < y ? x : y; };
  const int64_t block = a.rows <= R ? R : kWaitingRows, units = kWaiting / block, period = a.geometry.period;
  alignas(64) ScaledInputs waiting[kWaiting];
  for_sharing(a, panel_begin, panel_end, [&](const Sharing& sharing) {
    // Codes of a piece stay in a cache while all rows pass, even where those of all columns would not.
    for (int64_t u = 0; u < a.geometry.units; u += units)
      for (int64_t row = 0; row < a.rows; row += block) {
        const int64_t rows = least(block, a.rows - row), end = least(u + units, a.geometry.units);
        for (int64_t i = u; i < end; ++i) {
          float spare[2 * kDownUnit * 16];
          const DownNumbers of(down_numbers(a, sharing.panel, i), a.layout.top, spare);
          for (int64_t r = 0; r < rows; ++r) {
            const int64_t from = a.input_rows ? a.input_rows[row + r] : row + r;
            scale_inputs<Bits>(of, a.x + from * a.columns + i * kDownUnit, waiting[r * units + i - u]);
          }
        }
        for_tiles<P>(sharing, period, [&](int64_t panel, auto panels) {
          in_groups<R>(rows, [&](int64_t first, auto count) {
            const int64_t ahead = row + first > 0 ? 0 : panels.value * period * a.geometry.panel_bytes();
            const ScaledInputs* inputs[count.value];
            for (int n = 0; n < count.value; ++n) inputs[n] = waiting + (first + n) * units;
            tile_scaled_inputs<Bits, panels.value, count.value>(Tile{a, panel, row + first, u, end, ahead, 0, period}, inputs);
          });
        });
      }
  });
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
    out.all[i] = {layout, &walk_down<Bits>, &walk_down_exact<Bits>};
  }
  return out;
}
constexpr auto kDown = in_one(down_kernels<2>().all, down_kernels<3>().all, down_kernels<4>().all, down_kernels<8>().all);
extern constexpr std::span<const LayoutKernels> kDownKernels = kDown.all;

}  // namespace gale::GALE_ISA
