#pragma once
#include "kernels/cpu/common/tile_down.h"

// Codes under groups that run down columns, by int8 dots. A scale that changes with every column cannot come after a sum over
// columns, so it goes to the inputs before they are rounded:
//   sum of s (q - z) x  =  sum of (q - half) (s x)  +  sum of s (half - z) x
// Each of the 16 outputs has rounded inputs of its own, which all panels of the same numbers share: to make them costs as much as
// to multiply some 25 panels with them.
namespace gale::GALE_ISA {

// Of a row and a unit.
struct ScaledInputs {
  int8_t codes[kDownUnit / 4][64];  // [quad of columns][16 outputs][4], as dots of bytes want them
  int32_t owed[16];                 // what a dot of bytes counts too much, off
  float scale[16], rest[16];        // of the codes; the second sum above
};

// Largest / 127, as other inputs are rounded. A largest of 0 is this, which keeps codes finite.
constexpr float kLeastLargest = 1e-30f;

template <int Bits>
inline void scale_inputs(const DownNumbers& of, const float* x, ScaledInputs& out) {
  const f32x16 half = set1(float(1 << (Bits - 1)));
  f32x16 largest = set1(kLeastLargest), rest = zero();
  float products[kDownUnit * 16];
  for (int64_t k = 0; k < kDownUnit; ++k) {
    const f32x16 scale = load(of.scales + 16 * k), all = set1(x[k]), product = mul(scale, all);
    store(products + 16 * k, product);
    largest = max(abs(product), largest);
    rest = fma(mul(scale, sub(half, load(of.zeros + 16 * k))), all, rest);
  }
  const f32x16 inverse = div(set1(127.0f), largest);
  i32x16 sum = izero();
  for (int64_t quad = 0; quad < kDownUnit / 4; ++quad) {
    i32x16 q[4];
    for (int i = 0; i < 4; ++i) q[i] = to_int(mul(load(products + 16 * (4 * quad + i)), inverse));
    for (int i = 0; i < 4; ++i) sum = iadd(sum, q[i]);
    const i32x16 low = iadd(iand(q[0], 255), ishl<8>(iand(q[1], 255)));
    const i32x16 high = iadd(ishl<16>(iand(q[2], 255)), ishl<24>(q[3]));
    store_lanes(reinterpret_cast<int32_t*>(out.codes[quad]), iadd(low, high));
  }
  // dot_keys takes bytes for 128 more than they mean, and counts kKeyBias of that.
  store_lanes(out.owed, imul(sum, iset1(128 - kKeyBias - (1 << (Bits - 1)))));
  store(out.scale, div(largest, set1(127.0f)));
  store(out.rest, rest);
}

// P panels `period` apart x the units of a piece: x[n] are N rows' inputs of those, unit by unit.
//   acc += rest + dx x (sum of (q - half) x inputs)
template <int Bits, int P, int N>
void tile_scaled_inputs(const Tile& t, const ScaledInputs* const (&inputs)[N]) {
  using Codes = Plain<Bits>;
  const PanelGeometry& at = t.a.geometry;
  const uint8_t* unit[P];
  for (int p = 0; p < P; ++p) unit[p] = t.unit(p);
  f32x16 acc[P][N];
  for (int p = 0; p < P; ++p)
    for (int n = 0; n < N; ++n) acc[p][n] = t.begin(n, p);
  for (int64_t u = 0; u < t.unit_end - t.unit_begin; ++u) {
    i32x16 sum[P][N];
    for (int n = 0; n < N; ++n)
      for (int p = 0; p < P; ++p) sum[p][n] = as_lanes(load_bytes(reinterpret_cast<const uint8_t*>(inputs[n][u].owed)));
    for (int p = 0; p < P; ++p) prefetch_weights(unit[p] + t.ahead, at.bytes);
    for_columns<2>([&](auto part) __attribute__((always_inline)) {
      constexpr int kPart = decltype(part)::value;
      for (int p = 0; p < P; ++p) {
        u8x64 w[4];
        const Codes how(unit[p], at, 0);
        how.template columns16<kPart * 16 % Codes::kColumns / 16>(unit[p] + kPart * 16 / Codes::kColumns * Codes::kBytes, w);
        for (int i = 0; i < 4; ++i)
          for (int n = 0; n < N; ++n) {
            const auto* quad = reinterpret_cast<const uint8_t*>(inputs[n][u].codes[4 * kPart + i]);
            sum[p][n] = dot_keys(sum[p][n], w[i], as_lanes(load_bytes(quad)));
          }
      }
    });
    for (int n = 0; n < N; ++n) {
      const f32x16 scale = load(inputs[n][u].scale), rest = load(inputs[n][u].rest);
      for (int p = 0; p < P; ++p) acc[p][n] = fma(to_float(sum[p][n]), scale, add(acc[p][n], rest));
    }
    for (int p = 0; p < P; ++p) unit[p] += at.bytes;
  }
  for (int p = 0; p < P; ++p)
    for (int n = 0; n < N; ++n) t.end(acc[p][n], n, p);
}

}  // namespace gale::GALE_ISA
