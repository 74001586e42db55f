#pragma once
#include <cstdint>

#include "kernels/cpu/common/floats8.h"
#include "kernels/cpu/matmul_kernels.h"

// From the codes of a panel to vectors of bytes as dot4 wants them, and from the scales to f32. A kind of codes says
//   kBits                  its bytes are below 2^kBits; without a minimum they stand for half of that range less
//   kColumns, kBytes       of the panel that it takes as one: parts of 16 columns
//   columns16<Part>(p, w)  a part as four vectors of 4 columns each
// and is made anew for each group of scales, which may have a say in it.
namespace gale::GALE_ISA {

template <class Codes>
constexpr int64_t kBytesOf32 = Codes::kBytes * 32 / Codes::kColumns;

template <int Bits>
struct Plain;

template <>
struct Plain<8> {
  static constexpr int kBits = 8, kColumns = 16;
  static constexpr int64_t kBytes = 256;
  Plain(const uint8_t*, const PanelGeometry&, int64_t) {}
  template <int Part>
  void columns16(const uint8_t* p, u8x64 (&w)[4]) const {
    for (int i = 0; i < 4; ++i) w[i] = load_bytes(p + 64 * i);
  }
};

// Two bits of each byte of a vector, from bit `At` on.
template <int At>
inline u8x64 pair_at(const u8x64& v) {
  return as_bytes(iand(ishr<At>(as_lanes(v)), 0x03030303));
}

template <>
struct Plain<2> {
  static constexpr int kBits = 2, kColumns = 16;
  static constexpr int64_t kBytes = 64;
  Plain(const uint8_t*, const PanelGeometry&, int64_t) {}
  template <int Part>
  void columns16(const uint8_t* p, u8x64 (&w)[4]) const {
    pairs(p, w);
  }
  static void pairs(const uint8_t* p, u8x64 (&w)[4]) {
    const u8x64 all = load_bytes(p);
    w[0] = pair_at<0>(all);
    w[1] = pair_at<2>(all);
    w[2] = pair_at<4>(all);
    w[3] = pair_at<6>(all);
  }
};

template <>
struct Plain<3> {
  static constexpr int kBits = 3, kColumns = 32;
  static constexpr int64_t kBytes = 192;
  Plain(const uint8_t*, const PanelGeometry&, int64_t) {}
  template <int Part>
  void columns16(const uint8_t* p, u8x64 (&w)[4]) const {
    Plain<2>::pairs(p + 64 * Part, w);
    const i32x16 high = as_lanes(load_bytes(p + 128)), bit2 = ishl<2>(Part == 0 ? high : ishr<4>(high));  // of the first quad
    w[0] = join(w[0], bit2);
    w[1] = join(w[1], ishr<1>(bit2));
    w[2] = join(w[2], ishr<2>(bit2));
    w[3] = join(w[3], ishr<3>(bit2));
  }
  static u8x64 join(const u8x64& low, const i32x16& high) { return as_bytes(iadd(as_lanes(low), iand(high, 0x04040404))); }
};

template <>
struct Plain<4> {
  static constexpr int kBits = 4, kColumns = 16;
  static constexpr int64_t kBytes = 128;
  Plain(const uint8_t*, const PanelGeometry&, int64_t) {}
  template <int Part>
  void columns16(const uint8_t* p, u8x64 (&w)[4]) const {
    nibbles(p, w);
  }
  static void nibbles(const uint8_t* p, u8x64 (&w)[4]) {
    for (int i = 0; i < 2; ++i) {
      const u8x64 both = load_bytes(p + 64 * i);
      w[2 * i] = low_nibbles(both);
      w[2 * i + 1] = high_nibbles(both);
    }
  }
};

template <>
struct Plain<5> {
  static constexpr int kBits = 5, kColumns = 32;
  static constexpr int64_t kBytes = 320;
  Plain(const uint8_t*, const PanelGeometry&, int64_t) {}
  template <int Part>
  void columns16(const uint8_t* p, u8x64 (&w)[4]) const {
    Plain<4>::nibbles(p + 128 * Part, w);
    const u8x64 high = load_bytes(p + 256);
    w[0] = join_bit<4 * Part>(w[0], high);
    w[1] = join_bit<4 * Part + 1>(w[1], high);
    w[2] = join_bit<4 * Part + 2>(w[2], high);
    w[3] = join_bit<4 * Part + 3>(w[3], high);
  }
};

template <>
struct Plain<6> {
  static constexpr int kBits = 6, kColumns = 16;
  static constexpr int64_t kBytes = 192;
  Plain(const uint8_t*, const PanelGeometry&, int64_t) {}
  template <int Part>
  void columns16(const uint8_t* p, u8x64 (&w)[4]) const {
    Plain<4>::nibbles(p, w);
    const u8x64 high = load_bytes(p + 128);
    w[0] = join_high2<0>(w[0], high);
    w[1] = join_high2<1>(w[1], high);
    w[2] = join_high2<2>(w[2], high);
    w[3] = join_high2<3>(w[3], high);
  }
};

// A table's values, as many more as make half a range of all of them.
template <CodeTable T>
struct TableBytes {
  int bits = 1;
  uint8_t at[16] = {};
  constexpr TableBytes() {
    for (const int8_t value : kTableValues[size_t(T)])
      while (value < -(1 << (bits - 1)) || value >= 1 << (bits - 1)) ++bits;
    for (int i = 0; i < 16; ++i) at[i] = uint8_t(kTableValues[size_t(T)][i] + (1 << (bits - 1)));
  }
};

// Codes of `Width` bits through a table.
template <CodeTable T, int Width>
struct Through {
  static constexpr TableBytes<T> kTable{};
  static constexpr int kBits = kTable.bits, kColumns = Plain<Width>::kColumns;
  static constexpr int64_t kBytes = Plain<Width>::kBytes;
  Plain<Width> codes;
  u8x64 table;
  Through(const uint8_t* unit, const PanelGeometry& at, int64_t group) : codes(unit, at, group), table(repeat16(kTable.at)) {}
  template <int Part>
  void columns16(const uint8_t* p, u8x64 (&w)[4]) const {
    codes.template columns16<Part>(p, w);
    for (int i = 0; i < 4; ++i) w[i] = look_up(table, w[i]);
  }
};

// 2 bits that stand for -1, 0, 1 and 2: here 4 more.
struct Ternary {
  static constexpr int kBits = 3, kColumns = 16;
  static constexpr int64_t kBytes = 64;
  Ternary(const uint8_t*, const PanelGeometry&, int64_t) {}
  template <int Part>
  void columns16(const uint8_t* p, u8x64 (&w)[4]) const {
    Plain<2>::pairs(p, w);
    for (int i = 0; i < 4; ++i) w[i] = as_bytes(iadd(as_lanes(w[i]), iset1(0x03030303)));
  }
};

// 4 bits less the group's zero, 16 more: within 0..31 for zeros up to 16. Done here the zeros cost an addition for all rows of
// a tile instead of a multiply in each.
struct WithZeros {
  static constexpr int kBits = 5, kColumns = 16;
  static constexpr int64_t kBytes = 128;
  i32x16 add;  // 16 - zero in each byte of a lane
  WithZeros(const uint8_t* unit, const PanelGeometry& at, int64_t group)
      : add(isub(iset1(0x10101010), repeat_low_byte(load_u8(unit + at.zero + 16 * group)))) {}
  template <int Part>
  void columns16(const uint8_t* p, u8x64 (&w)[4]) const {
    Plain<4>::nibbles(p, w);
    for (int i = 0; i < 4; ++i) w[i] = as_bytes(iadd(as_lanes(w[i]), add));
  }
};

// Top scale i of the 16 lanes.
struct F16Scale {
  static f32x16 at(const uint8_t* scales, int64_t i, ScaleType = ScaleType::f16) {
    return load_f16(reinterpret_cast<const uint16_t*>(scales) + 16 * i);
  }
};

struct F32Scale {
  static f32x16 at(const uint8_t* scales, int64_t i, ScaleType = ScaleType::f32) {
    return load(reinterpret_cast<const float*>(scales) + 16 * i);
  }
};

// 2^(e - 128) for e up to 253: 2^(e - 126) is a normal number for all of them, and a quarter of it is exact.
struct E8m0Scale {
  static f32x16 at(const uint8_t* scales, int64_t i, ScaleType = ScaleType::e8m0) {
    return mul(float_of(ishl<23>(iadd(load_u8(scales + 16 * i), iset1(1)))), set1(0.25f));
  }
};

// Of the type that the layout says: a branch a group that always goes the same way.
struct AnyScale {
  static f32x16 at(const uint8_t* scales, int64_t i, ScaleType type) {
    if (type == ScaleType::f32) return load(reinterpret_cast<const float*>(scales) + 16 * i);
    const auto* halves = reinterpret_cast<const uint16_t*>(scales) + 16 * i;
    return type == ScaleType::bf16 ? load_bf16(halves) : load_f16(halves);
  }
};

// e4m3 without its sign, from the 7 low bits of each lane: as the top bits of an f32 it is 2^120 times too small, and so are its
// subnormals, which multiplying makes exact again.
inline f32x16 e4m3_of(i32x16 codes) { return mul(float_of(ishl<20>(codes)), set1(0x1p120f)); }
// Sub-scale i of the 16 lanes under the top scale.
inline f32x16 e4m3_scale(const uint8_t* subs, int64_t i, f32x16 top, bool divided) {
  const f32x16 sub = e4m3_of(load_u8(subs + 16 * i));
  return divided ? div(sub, top) : mul(top, sub);
}

// Codes that stand for f32 numbers. kColumns of a panel are a vector; numbers<I>(vector) are those of its column I.

template <int Exponent>
struct Floats8 {
  static constexpr int kColumns = 4;
  explicit Floats8(CodeTable) {}
  template <int I>
  f32x16 numbers(i32x16 codes) const {
    return floats8<Exponent, I>(codes);
  }
};
using E4m3 = Floats8<4>;
using E5m2 = Floats8<5>;

// A float of 8 bits over 448.
struct E4m3Scale {
  static f32x16 at(const uint8_t* scales, int64_t i, ScaleType = ScaleType::e4m3) {
    return div(E4m3(CodeTable::e4m3).numbers<0>(load_u8(scales + 16 * i)), set1(448.0f));
  }
};

// 4 bits: an element of a table each, columns 0-3 in the low halves.
struct Numbers4 {
  static constexpr int kColumns = 8;
  f32x16 table;
  explicit Numbers4(CodeTable of) : table(load(table_numbers(of))) {}
  template <int I>
  f32x16 numbers(i32x16 codes) const {
    if constexpr (I == 0) return look_up(table, codes);
    if constexpr (I > 0) return look_up(table, ishr<8 * (I % 4) + I / 4 * 4>(codes));
  }
};

}  // namespace gale::GALE_ISA
