#pragma once
#include <cstddef>
#include <cstring>

// For sets without one of their own. After simd.h: it names the vocabulary.
namespace gale::GALE_ISA {

inline void transpose_words(const std::byte* const* rows, int64_t at, i32x16 (&v)[16]) {
  int32_t words[16][16];  // [word][lane]
  for (int lane = 0; lane < 16; ++lane)
    for (int i = 0; i < 16; ++i) std::memcpy(&words[i][lane], rows[lane] + at + 4 * i, 4);
  std::memcpy(v, words, sizeof words);
}

inline i32x16 part_halves(const i32x16& v) {
  uint16_t from[32], to[32];
  std::memcpy(from, &v, sizeof from);
  for (int lane = 0; lane < 16; ++lane) to[lane] = from[2 * lane], to[16 + lane] = from[2 * lane + 1];
  i32x16 out;
  std::memcpy(&out, to, sizeof to);
  return out;
}
inline void stream(std::byte* to, const i32x16& v) { std::memcpy(to, &v, sizeof v); }
inline void end_stream() {}

}  // namespace gale::GALE_ISA
