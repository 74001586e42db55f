#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/kernels.h"

// Matmul over panels of 16 output rows. What keeps bits the same for any number of rows: each output is one f32 chain over the
// blocks of K in order; inside a block sums are integers, hence exact in any order. Row tiles only decide how often an unpacked
// weight is reused.
namespace gale::GALE_ISA {

// Columns 16 i .. 16 i + 15 of a panel as four vectors of 4 columns each, biased as dot4<Bits> wants them.
template <int Bits>
struct Unpack;

template <>
struct Unpack<8> {
  static constexpr int64_t kBytes = 256;  // of 16 columns
  static void columns16(const uint8_t* p, u8x64 (&w)[4]) {
    for (int i = 0; i < 4; ++i) w[i] = load_bytes(p + 64 * i);
  }
};

template <>
struct Unpack<4> {
  static constexpr int64_t kBytes = 128;
  static void columns16(const uint8_t* p, u8x64 (&w)[4]) {
    for (int i = 0; i < 2; ++i) {
      const u8x64 both = load_bytes(p + 64 * i);
      w[2 * i] = low_nibbles(both);
      w[2 * i + 1] = high_nibbles(both);
    }
  }
};

template <>
struct Unpack<6> {
  static constexpr int64_t kBytes = 192;
  static void columns16(const uint8_t* p, u8x64 (&w)[4]) {
    Unpack<4>::columns16(p, w);
    const u8x64 high = load_bytes(p + 128);
    w[0] = join_high2<0>(w[0], high);
    w[1] = join_high2<1>(w[1], high);
    w[2] = join_high2<2>(w[2], high);
    w[3] = join_high2<3>(w[3], high);
  }
};

// What dot4 still owes: it sees 8-bit codes less 128 where the set has only signed bytes.
template <int Bits>
inline int32_t bias_left(int32_t bias) {
  return Bits == 8 && kSigned8 ? bias - 128 : bias;
}

template <int Bits, int N>
inline void dot16(const uint8_t* codes, const int8_t* const (&x)[N], int64_t column, i32x16 (&sum)[N]) {
  u8x64 w[4];
  Unpack<Bits>::columns16(codes, w);
  for (int i = 0; i < 4; ++i)
    for (int n = 0; n < N; ++n) sum[n] = dot4<Bits>(sum[n], w[i], x[n] + column + 4 * i);
}

inline const uint8_t* panel_part(const MatmulArgs& a, int64_t panel, int64_t offset) {
  return reinterpret_cast<const uint8_t*>(a.panels + panel * a.geometry.bytes) + offset;
}

template <int N>
inline void store_tile(const MatmulArgs& a, int64_t panel, int64_t row, const f32x16 (&acc)[N]) {
  const int64_t first = panel * kPanelRows, left = a.out_rows - first;
  for (int n = 0; n < N; ++n) store_first(a.y + (row + n) * a.y_stride + first, acc[n], left);
}

// One scale per group of 32: acc += (d x dx) x (sum of codes x inputs - bias x sum of inputs).
template <int Bits, int N>
void tile_one_level(const MatmulArgs& a, int64_t panel, int64_t row) {
  const uint8_t* codes = panel_part(a, panel, a.geometry.codes);
  const auto* top = reinterpret_cast<const uint16_t*>(panel_part(a, panel, a.geometry.top));
  const int32_t bias = bias_left<Bits>(a.layout.bias);
  const RoundedRows& r = a.rounded;
  const int8_t* x[N];
  f32x16 acc[N];
  for (int n = 0; n < N; ++n) {
    x[n] = r.codes + (row + n) * r.code_stride;
    acc[n] = zero();
  }
  const int64_t groups = a.columns / 32;
  for (int64_t g = 0; g < groups; ++g, codes += 2 * Unpack<Bits>::kBytes, top += 16) {
    prefetch(codes + 4096);
    i32x16 sum[N];
    for (int n = 0; n < N; ++n) {
      const int16_t* sums = r.sums + (row + n) * r.sum_stride() + 2 * g;
      sum[n] = iset1(-bias * (int32_t(sums[0]) + sums[1]));
    }
    dot16<Bits, N>(codes, x, 32 * g, sum);
    dot16<Bits, N>(codes + Unpack<Bits>::kBytes, x, 32 * g + 16, sum);
    const f32x16 d = load_f16(top);
    for (int n = 0; n < N; ++n) {
      const f32x16 scale = mul(d, set1(r.scales[(row + n) * r.scale_stride() + g]));
      acc[n] = fma(scale, to_float(sum[n]), acc[n]);
    }
  }
  store_tile<N>(a, panel, row, acc);
}

// Integer sub-scales under one f16 scale per 256: everything inside the block stays an exact integer (at most 63 x 15 x 127 x 256
// for 4 bits with u6, 128 x 32 x 127 x 256 for 6 bits with i8, both below 2^31), then acc += (d x dx) x block.
// With minimums: acc -= (dmin x dx) x (sum of minimum x sum of inputs).
template <int Bits, int Group, bool Minimum, int N>
void tile_two_level(const MatmulArgs& a, int64_t panel, int64_t row) {
  const uint8_t* codes = panel_part(a, panel, a.geometry.codes);
  const uint8_t* sub = panel_part(a, panel, a.geometry.sub);
  const uint8_t* sub_min = panel_part(a, panel, a.geometry.sub_min);
  const auto* top = reinterpret_cast<const uint16_t*>(panel_part(a, panel, a.geometry.top));
  const auto* top_min = reinterpret_cast<const uint16_t*>(panel_part(a, panel, a.geometry.top_min));
  const int32_t bias = bias_left<Bits>(a.layout.bias);
  const RoundedRows& r = a.rounded;
  const int8_t* x[N];
  f32x16 acc[N];
  for (int n = 0; n < N; ++n) {
    x[n] = r.codes + (row + n) * r.code_stride;
    acc[n] = zero();
  }
  constexpr int kSixteens = Group / 16;
  const int64_t blocks = a.columns / 256;
  for (int64_t b = 0; b < blocks; ++b) {
    i32x16 total[N], minimum[N];
    for (int n = 0; n < N; ++n) total[n] = minimum[n] = izero();
    for (int g = 0; g < 256 / Group; ++g) {
      prefetch(codes + 4096);
      const int64_t column = 256 * b + Group * g;
      i32x16 sum[N], inputs[N];
      for (int n = 0; n < N; ++n) {
        const int16_t* sums = r.sums + (row + n) * r.sum_stride() + column / 16;
        int32_t s = 0;
        for (int i = 0; i < kSixteens; ++i) s += sums[i];
        inputs[n] = iset1(s);
        sum[n] = Minimum && bias == 0 ? izero() : iset1(-bias * s);
      }
      for (int i = 0; i < kSixteens; ++i, codes += Unpack<Bits>::kBytes) dot16<Bits, N>(codes, x, column + 16 * i, sum);
      const i32x16 scale = Minimum ? load_u8(sub) : load_i8(sub);
      for (int n = 0; n < N; ++n) total[n] = iadd(total[n], imul(scale, sum[n]));
      sub += 16;
      if constexpr (Minimum) {
        const i32x16 m = load_u8(sub_min);
        for (int n = 0; n < N; ++n) minimum[n] = iadd(minimum[n], imul(m, inputs[n]));
        sub_min += 16;
      }
    }
    const f32x16 d = load_f16(top);
    top += 16;
    for (int n = 0; n < N; ++n) {
      const f32x16 dx = set1(r.scales[(row + n) * r.scale_stride() + b]);
      acc[n] = fma(mul(d, dx), to_float(total[n]), acc[n]);
      if constexpr (Minimum) acc[n] = fma(mul(gale::GALE_ISA::sub(zero(), load_f16(top_min)), dx), to_float(minimum[n]), acc[n]);
    }
    if constexpr (Minimum) top_min += 16;
  }
  store_tile<N>(a, panel, row, acc);
}

// f32 values of 16 columns of a panel, [16 columns][16 lanes], by the layout's own formula.
template <int Bits>
inline void values16(const uint8_t* codes, f32x16 scale, f32x16 minimum, bool has_minimum, int32_t bias, float (&out)[256]) {
  u8x64 w[4];
  Unpack<Bits>::columns16(codes, w);
  const auto column = [&](int k, i32x16 shifted) {
    const i32x16 code = iand(shifted, 255);
    const f32x16 v =
        has_minimum ? gale::GALE_ISA::sub(mul(scale, to_float(code)), minimum) : mul(scale, to_float(isub(code, iset1(bias))));
    store(out + 16 * k, v);
  };
  for (int i = 0; i < 4; ++i) {
    const i32x16 lanes4 = as_lanes(w[i]);
    column(4 * i, lanes4);
    column(4 * i + 1, ishr<8>(lanes4));
    column(4 * i + 2, ishr<16>(lanes4));
    column(4 * i + 3, ishr<24>(lanes4));
  }
}

// Any grouped layout on f32 inputs: the exact mode. One fma per weight, K in order.
template <int Bits, int N>
void tile_exact(const MatmulArgs& a, int64_t panel, int64_t row) {
  const Layout& layout = a.layout;
  const uint8_t* codes = panel_part(a, panel, a.geometry.codes);
  const auto* top = reinterpret_cast<const uint16_t*>(panel_part(a, panel, a.geometry.top));
  const auto* top_min = reinterpret_cast<const uint16_t*>(panel_part(a, panel, a.geometry.top_min));
  const uint8_t* subs = panel_part(a, panel, a.geometry.sub);
  const uint8_t* sub_mins = panel_part(a, panel, a.geometry.sub_min);
  f32x16 acc[N];
  for (int n = 0; n < N; ++n) acc[n] = zero();
  for (int64_t column = 0; column < a.columns; column += 16, codes += Unpack<Bits>::kBytes) {
    const int64_t block = column / layout.block * 16, group = column / layout.group * 16;
    f32x16 scale = load_f16(top + block), minimum = zero();
    if (layout.two_level())
      scale = mul(scale, to_float(layout.sub == ScaleType::i8 ? load_i8(subs + group) : load_u8(subs + group)));
    if (layout.minimum) {
      minimum = load_f16(top_min + block);
      if (layout.two_level()) minimum = mul(minimum, to_float(load_u8(sub_mins + group)));
    }
    float w[256];
    values16<Bits>(codes, scale, minimum, layout.minimum, layout.bias, w);
    for (int k = 0; k < 16; ++k)
      for (int n = 0; n < N; ++n) acc[n] = fma(load(w + 16 * k), set1(a.x[(row + n) * a.columns + column + k]), acc[n]);
  }
  store_tile<N>(a, panel, row, acc);
}

struct LoadF32 {
  static f32x16 at(const uint8_t* p, int64_t i) { return load(reinterpret_cast<const float*>(p) + i); }
};
struct LoadF16 {
  static f32x16 at(const uint8_t* p, int64_t i) { return load_f16(reinterpret_cast<const uint16_t*>(p) + i); }
};
struct LoadBf16 {
  static f32x16 at(const uint8_t* p, int64_t i) { return load_bf16(reinterpret_cast<const uint16_t*>(p) + i); }
};

// Dense panels, P of them side by side: at one row a single chain would wait for its own fma, more panels fill the gap.
template <class Load, int P, int N>
void tile_dense(const MatmulArgs& a, int64_t panel, int64_t row) {
  const uint8_t* w[P];
  for (int p = 0; p < P; ++p) w[p] = panel_part(a, panel + p, a.geometry.codes);
  f32x16 acc[P][N];
  for (int p = 0; p < P; ++p)
    for (int n = 0; n < N; ++n) acc[p][n] = zero();
  const float* x = a.x + row * a.columns;
  for (int64_t k = 0; k < a.columns; ++k)
    for (int p = 0; p < P; ++p) {
      const f32x16 v = Load::at(w[p], k * 16);
      for (int n = 0; n < N; ++n) acc[p][n] = fma(v, set1(x[n * a.columns + k]), acc[p][n]);
    }
  for (int p = 0; p < P; ++p) store_tile<N>(a, panel + p, row, acc[p]);
}

// Rows in blocks that stay in L2 beside a few panels; inside, the widest tile first. Kernel::tile<N>(args, panel, row).
constexpr int64_t kRowBlock = 64;

template <class Kernel>
void walk_rows(const MatmulArgs& a, int64_t panel, int64_t begin, int64_t end) {
  int64_t row = begin;
  if constexpr (kRowTile >= 8)
    for (; row + 8 <= end; row += 8) Kernel::template tile<8>(a, panel, row);
  for (; row + 4 <= end; row += 4) Kernel::template tile<4>(a, panel, row);
  for (; row + 2 <= end; row += 2) Kernel::template tile<2>(a, panel, row);
  for (; row < end; ++row) Kernel::template tile<1>(a, panel, row);
}

template <class Kernel>
void matmul(const MatmulArgs& a, int64_t panel_begin, int64_t panel_end) {
  for (int64_t row = 0; row < a.rows; row += kRowBlock) {
    const int64_t end = row + kRowBlock < a.rows ? row + kRowBlock : a.rows;
    for (int64_t panel = panel_begin; panel < panel_end; ++panel) walk_rows<Kernel>(a, panel, row, end);
  }
}

template <int Bits>
struct OneLevel {
  template <int N>
  static void tile(const MatmulArgs& a, int64_t panel, int64_t row) {
    tile_one_level<Bits, N>(a, panel, row);
  }
};
template <int Bits, int Group, bool Minimum>
struct TwoLevel {
  template <int N>
  static void tile(const MatmulArgs& a, int64_t panel, int64_t row) {
    tile_two_level<Bits, Group, Minimum, N>(a, panel, row);
  }
};
template <int Bits>
struct Exact {
  template <int N>
  static void tile(const MatmulArgs& a, int64_t panel, int64_t row) {
    tile_exact<Bits, N>(a, panel, row);
  }
};
template <class Load>
struct Dense {
  template <int N>
  static void tile(const MatmulArgs& a, int64_t panel, int64_t row) {
    tile_dense<Load, 1, N>(a, panel, row);
  }
};

template <class Load>
void matmul_dense(const MatmulArgs& a, int64_t panel_begin, int64_t panel_end) {
  if (a.rows != 1) return matmul<Dense<Load>>(a, panel_begin, panel_end);
  int64_t panel = panel_begin;
  for (; panel + 4 <= panel_end; panel += 4) tile_dense<Load, 4, 1>(a, panel, 0);
  for (; panel < panel_end; ++panel) tile_dense<Load, 1, 1>(a, panel, 0);
}

constexpr Layout grouped(uint8_t bits, int16_t group, int16_t block, ScaleType sub, bool minimum) {
  return {Layout::Kind::grouped, DType::f32, bits, group, block, ScaleType::f16, sub, minimum, 0};
}

extern const LayoutKernels kLayouts[] = {
    {dense_layout(DType::f32), nullptr, &matmul_dense<LoadF32>},
    {dense_layout(DType::f16), nullptr, &matmul_dense<LoadF16>},
    {dense_layout(DType::bf16), nullptr, &matmul_dense<LoadBf16>},
    {grouped(8, 32, 32, ScaleType::none, false), &matmul<OneLevel<8>>, &matmul<Exact<8>>},
    {grouped(4, 32, 32, ScaleType::none, false), &matmul<OneLevel<4>>, &matmul<Exact<4>>},
    {grouped(4, 32, 256, ScaleType::u6, true), &matmul<TwoLevel<4, 32, true>>, &matmul<Exact<4>>},
    {grouped(6, 16, 256, ScaleType::i8, false), &matmul<TwoLevel<6, 16, false>>, &matmul<Exact<6>>},
};
extern const size_t kLayoutCount = sizeof kLayouts / sizeof kLayouts[0];

}  // namespace gale::GALE_ISA
