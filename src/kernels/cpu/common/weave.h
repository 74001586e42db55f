#pragma once
#include <cstdint>

#include "kernels/cpu/kernels.h"

// Arranging weights: rows become columns. transpose.h, the common one or the set's own, is included before; it offers
// transpose_words(rows, at, v): v[i] = the word at `at` + 4 i of each of 16 rows, one a lane; part_halves(v): 32 halves of words,
// the low ones of all lanes first; stream(to, v): 64 bytes past the caches where the set can, since nobody reads them soon, with
// end_stream() once before others may see them.
namespace gale::GALE_ISA {

constexpr int kWovenWords = 16;  // of a row, transposed at a time
constexpr int64_t kAhead = 512;  // bytes of a row: sixteen streams are more than the hardware follows

inline uint16_t* halves_at(std::byte* to) { return reinterpret_cast<uint16_t*>(to); }
inline uint8_t* bytes_at(std::byte* to) { return reinterpret_cast<uint8_t*>(to); }

// Each: how many words go together, the bytes they become, and how.
struct WeaveWords {
  static constexpr int kTogether = 1, kBytes = 64;
  static void put(const i32x16* v, std::byte* to) { stream(to, v[0]); }
};
struct WeaveHalves {
  static constexpr int kTogether = 1, kBytes = 64;
  static void put(const i32x16* v, std::byte* to) { stream(to, part_halves(v[0])); }
};
// Four words of the low two bits of 16 columns.
inline i32x16 join_twos(const i32x16* v) {
  constexpr int32_t kLow = 0x03030303;
  return iadd(iadd(iand(v[0], kLow), ishl<2>(iand(v[1], kLow))), iadd(ishl<4>(iand(v[2], kLow)), ishl<6>(iand(v[3], kLow))));
}
// Bit `At` of the bytes of eight words, that of word i at bit i.
template <int At>
inline i32x16 join_ones(const i32x16* v) {
  const auto one = [&](int i) { return iand(ishr<At>(v[i]), 0x01010101); };
  const i32x16 low = iadd(iadd(one(0), ishl<1>(one(1))), iadd(ishl<2>(one(2)), ishl<3>(one(3))));
  return iadd(low, iadd(iadd(ishl<4>(one(4)), ishl<5>(one(5))), iadd(ishl<6>(one(6)), ishl<7>(one(7)))));
}
struct WeaveCodes2 {
  static constexpr int kTogether = 4, kBytes = 64;
  static void put(const i32x16* v, std::byte* to) { stream(to, join_twos(v)); }
};
struct WeaveCodes3 {
  static constexpr int kTogether = 8, kBytes = 192;
  static void put(const i32x16* v, std::byte* to) {
    stream(to, join_twos(v));
    stream(to + 64, join_twos(v + 4));
    stream(to + 128, join_ones<2>(v));
  }
};
struct WeaveCodes5 {
  static constexpr int kTogether = 8, kBytes = 320;
  static void put(const i32x16* v, std::byte* to) {
    constexpr int32_t kLow = 0x0f0f0f0f;
    for (int i = 0; i < 4; ++i) stream(to + 64 * i, iadd(iand(v[2 * i], kLow), ishl<4>(iand(v[2 * i + 1], kLow))));
    stream(to + 256, join_ones<4>(v));
  }
};
struct WeaveCodes4 {
  static constexpr int kTogether = 2, kBytes = 64;
  static void put(const i32x16* v, std::byte* to) { stream(to, iadd(v[0], ishl<4>(v[1]))); }
};
struct WeaveCodes6 {
  static constexpr int kTogether = 4, kBytes = 192;
  static void put(const i32x16* v, std::byte* to) {
    constexpr int32_t kLow = 0x0f0f0f0f, kHigh = 0x30303030;
    stream(to, iadd(iand(v[0], kLow), ishl<4>(iand(v[1], kLow))));
    stream(to + 64, iadd(iand(v[2], kLow), ishl<4>(iand(v[3], kLow))));
    stream(to + 128, iadd(iadd(ishr<4>(iand(v[0], kHigh)), ishr<2>(iand(v[1], kHigh))),
                          iadd(iand(v[2], kHigh), ishl<2>(iand(v[3], kHigh)))));
  }
};
struct WeaveF16 {
  static constexpr int kTogether = 1, kBytes = 32;
  static void put(const i32x16* v, std::byte* to) { store_f16(halves_at(to), float_of(v[0])); }
};
struct WeaveBytes {
  static constexpr int kTogether = 1, kBytes = 32;
  static void put(const i32x16* v, std::byte* to) {
    store_u8(bytes_at(to), iand(v[0], 0xff));
    store_u8(bytes_at(to) + 16, iand(ishr<16>(v[0]), 0xff));
  }
};
struct WeaveBytePairs {
  static constexpr int kTogether = 1, kBytes = 32;
  static void put(const i32x16* v, std::byte* to) {
    store_u16(halves_at(to), iadd(iand(v[0], 0xff), iand(ishr<8>(v[0]), 0xff00)));
  }
};

template <class How>
void weave_as(const WeaveArgs& a) {
  constexpr int64_t kChunk = kWovenWords * 4;
  const int64_t words = (a.bytes + 3) / 4, whole = a.count == 16 ? a.bytes / kChunk * kWovenWords : 0;
  i32x16 v[kWovenWords];
  std::byte* unit = a.out;  // of the word at hand
  int64_t within = 0;       // its number there
  const auto put = [&](int64_t n) {
    for (int64_t i = 0; i < n; i += How::kTogether) {
      How::put(v + i, unit + within / How::kTogether * How::kBytes);
      within += How::kTogether;
      if (within >= a.unit_words) within = 0, unit += a.unit_bytes;
    }
  };
  for (int64_t word = 0; word < whole; word += kWovenWords) {
    for (int64_t lane = 0; lane < 16; ++lane) prefetch_far(a.rows[lane] + word * 4 + kAhead);
    transpose_words(a.rows, word * 4, v);
    put(kWovenWords);
  }
  // What is left goes through a copy with zeros around it: the end of the rows, and panels of fewer rows.
  for (int64_t word = whole; word < words; word += kWovenWords) {
    std::byte copies[16][kChunk] = {};
    const std::byte* rows[16];
    const int64_t at = word * 4, left = a.bytes - at;
    for (int64_t lane = 0; lane < 16; ++lane) {
      if (lane < a.count) __builtin_memcpy(copies[lane], a.rows[lane] + at, size_t(left < kChunk ? left : kChunk));
      rows[lane] = copies[lane];
    }
    transpose_words(rows, 0, v);
    put(words - word < kWovenWords ? words - word : kWovenWords);
  }
  if constexpr (How::kBytes % 64 == 0) end_stream();  // the others went through the caches
}

void weave(const WeaveArgs& a) {
  switch (a.weaving) {
    case Weaving::words:
      return weave_as<WeaveWords>(a);
    case Weaving::halves:
      return weave_as<WeaveHalves>(a);
    case Weaving::codes2:
      return weave_as<WeaveCodes2>(a);
    case Weaving::codes3:
      return weave_as<WeaveCodes3>(a);
    case Weaving::codes4:
      return weave_as<WeaveCodes4>(a);
    case Weaving::codes5:
      return weave_as<WeaveCodes5>(a);
    case Weaving::codes6:
      return weave_as<WeaveCodes6>(a);
    case Weaving::f16:
      return weave_as<WeaveF16>(a);
    case Weaving::bytes:
      return weave_as<WeaveBytes>(a);
    case Weaving::byte_pairs:
      return weave_as<WeaveBytePairs>(a);
  }
}

}  // namespace gale::GALE_ISA
