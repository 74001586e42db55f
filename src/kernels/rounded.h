#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/layout.h"

namespace gale {

/// The int8 form of rows of activations: x = scale x code per block of 32 or 256 columns, code in -127..127, with sums of 16
/// codes so that kernels take a bias or a minimum off in one step. Columns are padded with zeros to a multiple of 256.
struct RoundedRows {
  int8_t* codes = nullptr;  ///< [rows, code_stride]
  float* scales = nullptr;  ///< [rows, padded columns / block]
  int16_t* sums = nullptr;  ///< [rows, padded columns / 16]
  int64_t rows = 0, columns = 0, padded = 0, code_stride = 0;
  int32_t block = 32;

  int64_t scale_stride() const { return padded / block; }
  int64_t sum_stride() const { return padded / 16; }
};

/// The view over one buffer that holds all three, and the bytes such a buffer needs.
RoundedRows rounded_view(std::byte* buffer, Rounding rounding, int64_t rows, int64_t columns);
int64_t rounded_bytes(Rounding rounding, int64_t rows, int64_t columns);

}  // namespace gale
