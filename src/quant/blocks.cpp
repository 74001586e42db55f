#include "quant/blocks.h"

namespace gale::blocks {

void check_slice(std::string_view name, const Shape& shape, const Slice2& slice, int64_t block) {
  const bool inside = slice.row >= 0 && slice.rows >= 0 && slice.column >= 0 && slice.columns >= 0 && slice.row <= shape[0] &&
                      slice.rows <= shape[0] - slice.row && slice.column <= shape[1] && slice.columns <= shape[1] - slice.column;
  require(inside, ErrorCode::invalid_argument, "{}: rows {} + {}, columns {} + {} are not within its shape {}", name, slice.row,
          slice.rows, slice.column, slice.columns, shape.text());
  require(slice.column % block == 0 && slice.columns % block == 0, ErrorCode::invalid_argument,
          "{}: columns {} + {} cut a block of {}", name, slice.column, slice.columns, block);
}

void fail_block(const RawTensor& weight, int64_t row, int64_t column, std::string_view fault) {
  fail(ErrorCode::corrupt, "{}: the {} block at row {}, column {} is broken, {}; {} is damaged", weight.name,
       tensor_type_info(weight.type).name, row, column, fault, file_of(weight));
}

void check_input(std::string_view format, const float* values, int64_t rows, int64_t columns, const float* importance,
                 int64_t multiple, float limit) {
  require(columns % multiple == 0, ErrorCode::invalid_argument, "{} needs columns in multiples of {}, not {}", format, multiple,
          columns);
  for (int64_t i = 0; importance != nullptr && i < columns; ++i)
    require(std::isfinite(importance[i]) && importance[i] >= 0, ErrorCode::invalid_argument,
            "importance of column {} is {}; it must be finite and not negative", i, importance[i]);
  for (int64_t row = 0; row < rows; ++row, values += columns) {
    bool good = true;
    for (int64_t i = 0; i < columns; ++i) good &= std::fabs(values[i]) <= limit;  // false for NaN
    for (int64_t i = 0; !good && i < columns; ++i) {
      require(std::isfinite(values[i]), ErrorCode::corrupt, "row {}, column {} is {}: not a finite number", row, i, values[i]);
      require(std::fabs(values[i]) <= limit, ErrorCode::corrupt, "row {}, column {} is {}: above {}, the most that {} takes", row,
              i, values[i], limit, format);
    }
  }
}

void draw_bytes(uint64_t seed, int64_t n, std::byte* out, uint64_t kept, uint64_t fixed) {
  SplitMix64 draw{seed};
  for (; n >= 8; n -= 8, out += 8) {
    const uint64_t word = (draw() & kept) | fixed;
    std::memcpy(out, &word, 8);
  }
  const uint64_t word = (draw() & kept) | fixed;
  std::memcpy(out, &word, size_t(n));
}

}  // namespace gale::blocks
