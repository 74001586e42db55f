#include "kernels/rounded.h"

#include "base/checked.h"

namespace gale {
namespace {

struct Parts {
  int64_t padded, code_stride, codes, scales, sums;
  int32_t block;
};

Parts parts_of(Rounding rounding, int64_t rows, int64_t columns) {
  Parts out{};
  out.block = rounding == Rounding::int8_per_256 ? 256 : 32;
  out.padded = round_up(columns, 256);
  out.code_stride = out.padded + 64;  // off the powers of two, where rows would share cache sets
  out.codes = rows * out.code_stride;
  out.scales = round_up(rows * (out.padded / out.block) * 4, 64);
  out.sums = round_up(rows * (out.padded / 16) * 2, 64);
  return out;
}

}  // namespace

int64_t rounded_bytes(Rounding rounding, int64_t rows, int64_t columns) {
  const Parts p = parts_of(rounding, rows, columns);
  return p.codes + p.scales + p.sums;
}

RoundedRows rounded_view(std::byte* buffer, Rounding rounding, int64_t rows, int64_t columns) {
  const Parts p = parts_of(rounding, rows, columns);
  RoundedRows out;
  out.rows = rows;
  out.columns = columns;
  out.padded = p.padded;
  out.code_stride = p.code_stride;
  out.block = p.block;
  out.codes = reinterpret_cast<int8_t*>(buffer);
  out.scales = reinterpret_cast<float*>(buffer + p.codes);
  out.sums = reinterpret_cast<int16_t*>(buffer + p.codes + p.scales);
  return out;
}

}  // namespace gale
