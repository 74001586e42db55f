#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/layout.h"

namespace gale {

/// The int8 form of activations: x = scale x code, code in -127..127, with sums of codes so that kernels take a bias or a minimum
/// off in one step. Everything about a block lies together: a kernel walks a row with one pointer.
struct RoundedBlock32 {
  int8_t codes[32];
  float scale;
  int32_t minus;  ///< minus the sum of the codes: a shift makes it what a bias owes
};
struct RoundedBlock256 {
  int8_t codes[256];
  float scale;
  int16_t sums32[8];    ///< of 32 codes each, as pairs for 16-bit dots
  int16_t sums16[16];   ///< the same of 16 codes each
  int32_t minus16[16];  ///< minus the sums of 16 codes each
};

/// Columns that are rounded as one piece of work.
constexpr int64_t kRoundedPiece = 256;

/// Rows of such blocks, or of bf16 words as the instruction set has them. Columns are filled up with zeros to whole pieces.
struct RoundedRows {
  std::byte* data = nullptr;  ///< [rows, stride] bytes
  int64_t rows = 0, columns = 0, padded = 0, stride = 0;
  Rounding rounding = Rounding::none;
  const int32_t* order = nullptr;  ///< the input column of each rounded one (int8 per 32, bf16); null: the same

  int64_t pieces() const { return padded / kRoundedPiece; }  ///< of a row
  template <class Block>
  Block* row(int64_t i) const {
    return reinterpret_cast<Block*>(data + i * stride);
  }
};

/// The view over one buffer of rounded_bytes().
RoundedRows rounded_view(std::byte* buffer, Rounding rounding, int64_t rows, int64_t columns);
int64_t rounded_bytes(Rounding rounding, int64_t rows, int64_t columns);

}  // namespace gale
