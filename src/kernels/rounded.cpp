#include "kernels/rounded.h"

#include "base/checked.h"

namespace gale {

RoundedRows rounded_view(std::byte* buffer, Rounding rounding, int64_t rows, int64_t columns) {
  RoundedRows out;
  out.data = buffer;
  out.rows = rows;
  out.columns = columns;
  out.padded = round_up(columns, 256);
  const bool wide = rounding == Rounding::int8_per_256;
  out.block = wide ? 256 : 32;
  const int64_t bytes = out.padded / out.block * int64_t(wide ? sizeof(RoundedBlock256) : sizeof(RoundedBlock32));
  out.stride = round_up(bytes, 64) + 64;  // off the powers of two, where rows would share cache sets
  return out;
}

int64_t rounded_bytes(Rounding rounding, int64_t rows, int64_t columns) {
  return rows * rounded_view(nullptr, rounding, rows, columns).stride;
}

}  // namespace gale
