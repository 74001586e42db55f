#include "checkpoint/checkpoint.h"

namespace gale {

int64_t interleaved_row(int64_t i, int64_t rows, int32_t heads) {
  if (heads == 0) return i;
  const int64_t width = rows / heads, half = width / 2;
  const int64_t first = i / width * width, within = i % width;
  return first + 2 * (within % half) + within / half;
}

int64_t RawTensor::own_bytes() const { return woven() ? row_bytes(type, elements(), name) : int64_t(bytes.size()); }

const std::byte* RawTensor::row(int64_t i) const {
  return bytes.data() + interleaved_row(i, rows(), interleaved_heads) * row_stride();
}

}  // namespace gale
