#include "kernels/rounded.h"

#include "base/checked.h"

namespace gale {
namespace {

constexpr int64_t kLongestPairWord = 8;  // two f32 where no instruction dots bf16

int64_t row_bytes(Rounding rounding, int64_t padded) {
  switch (rounding) {
    case Rounding::int8_per_32:
      return padded / 32 * int64_t(sizeof(RoundedBlock32));
    case Rounding::int8_per_256:
      return padded / 256 * int64_t(sizeof(RoundedBlock256));
    case Rounding::bf16:
      return padded / 2 * kLongestPairWord;
    case Rounding::none:
      break;
  }
  return 0;
}

}  // namespace

RoundedRows rounded_view(std::byte* buffer, Rounding rounding, int64_t rows, int64_t columns) {
  RoundedRows out;
  out.data = buffer;
  out.rows = rows;
  out.columns = columns;
  out.padded = round_up(columns, kRoundedPiece);
  out.rounding = rounding;
  const int64_t bytes = row_bytes(rounding, out.padded);
  out.stride = round_up(bytes, 64) + 64;  // off the powers of two, where rows would share cache sets
  return out;
}

int64_t rounded_bytes(Rounding rounding, int64_t rows, int64_t columns) {
  return rows * rounded_view(nullptr, rounding, rows, columns).stride;
}

}  // namespace gale
