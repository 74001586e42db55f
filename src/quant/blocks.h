#pragma once
#include <bit>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/fail.h"
#include "base/half.h"
#include "base/rng.h"
#include "quant/format.h"

/// What the formats of one "weight" tensor share: a tensor of plain elements, or of blocks that lie one after another along a
/// row. A format says how one block (or element) reads and writes; block_format() and dense_format() make a Format of that.
namespace gale::blocks {

inline uint16_t load_u16(const std::byte* p) {
  uint16_t out;
  std::memcpy(&out, p, sizeof out);
  return out;
}
inline void store_u16(std::byte* p, uint16_t v) { std::memcpy(p, &v, sizeof v); }
inline float load_f16(const std::byte* p) { return f16_to_f32(load_u16(p)); }

/// Nearest integer, halves away from zero, for |x| < 2^22. The constant is the largest float below a half: with a half itself,
/// 0.49999997 would come out as 1. Vectorises everywhere, which std::round does not.
inline int32_t round_away(float x) { return int32_t(x + std::copysign(0x1.fffffep-2f, x)); }

/// Where the parts of one block go in a LogicalGroups; pointers that the layout does not use are never written.
struct BlockParts {
  uint8_t* codes;
  float *top, *top_min;
  int16_t *sub, *sub_min;
};

inline const RawTensor& weight_of(const TensorGroup& group) {
  const RawTensor* weight = group.part("weight");
  require(weight != nullptr, ErrorCode::corrupt, "{}: no tensor \"{}.weight\"", group.name, group.name);
  return *weight;
}

/// A lone weight of that type. A bias beside it is none of the format's business; any other part (scales, zero points) means that
/// the weight is some other format's.
inline bool is_lone_weight(const TensorGroup& group, TensorType type) {
  const RawTensor* weight = group.part("weight");
  if (weight == nullptr || weight->type != type) return false;
  for (const auto& [suffix, tensor] : group.parts)
    if (suffix != "weight" && suffix != "bias") return false;
  return true;
}

inline std::pair<int64_t, int64_t> weight_shape(const TensorGroup& group) {
  const RawTensor& weight = weight_of(group);
  return {weight.rows(), weight.columns()};
}

/// Throws Error{invalid_argument} for a slice outside the matrix of that shape or one that cuts a block.
void check_slice(std::string_view name, const Shape& shape, const Slice2& slice, int64_t block);
inline void check_slice(const RawTensor& weight, const Slice2& slice, int64_t block) {
  check_slice(weight.name, {weight.rows(), weight.columns()}, slice, block);
}
/// Throws Error{corrupt} where a scale that was read is not finite: its block would poison every sum it enters.
[[noreturn]] void fail_scale(const RawTensor& weight, int64_t row, int64_t column);
/// Throws Error{corrupt} naming row and column of the first value that is not finite or whose magnitude is above `limit`,
/// Error{invalid_argument} for columns that are not a multiple or importance that is negative or not finite.
void check_input(std::string_view format, const float* values, int64_t rows, int64_t columns, const float* importance,
                 int64_t multiple, float limit);

/// visit(bytes of a block, row and column of its first element, both counted from the slice's corner).
template <class Visit>
void for_each_block(const RawTensor& weight, const Slice2& slice, Visit visit) {
  const TensorTypeInfo& info = tensor_type_info(weight.type);
  check_slice(weight, slice, info.block);
  for (int64_t row = 0; row < slice.rows; ++row) {
    const std::byte* bytes = weight.row(slice.row + row) + slice.column / info.block * info.bytes;
    for (int64_t column = 0; column < slice.columns; column += info.block, bytes += info.bytes) visit(bytes, row, column);
  }
}

/// Weights of the squared errors of a block. `importance` is the mean square of the inputs that meet each column, so that the
/// weighted error is what the output is expected to be off by. Without it large weights count more: they lie where inputs matter.
/// On a small trained model that costs 1 % of plain error and brings the output 5 % (4 bits) to 13 % (6 bits) closer in KL
/// divergence than equal weights; importance, where it is known, does better alone.
void weigh(const float* x, const float* importance, int n, float* weights);

/// Random bytes; of every 64-bit word the bits in `kept`, the others from `fixed`.
void draw_bytes(uint64_t seed, int64_t n, std::byte* out, uint64_t kept = ~uint64_t(0), uint64_t fixed = 0);

/// Largest magnitude a format with f16 scales takes; a scale computed from it cannot overflow.
inline constexpr float kF16Limit = 65504.0f;

/// A Format of blocks. F has: name, type, layout, bytes (of a block), valid(block) (its scales are finite), values(block, out),
/// split(block, parts), quantize(values, importance or nullptr, block) and draw_scales(random bits, block), which makes a block
/// of random bytes one of small weights.
template <class F>
constexpr Format block_format() {
  return Format{
      .name = F::name,
      .claims = [](const TensorGroup& group) { return is_lone_weight(group, F::type); },
      .shape = weight_shape,
      .layout = [](const TensorGroup&) { return F::layout; },
      .dequantize =
          [](const TensorGroup& group, const Slice2& slice, float* out) {
            const RawTensor& weight = weight_of(group);
            for_each_block(weight, slice, [&](const std::byte* block, int64_t row, int64_t column) {
              if (!F::valid(block)) fail_scale(weight, slice.row + row, slice.column + column);
              F::values(block, out + row * slice.columns + column);
            });
          },
      .groups =
          [](const TensorGroup& group, const Slice2& slice, LogicalGroups& out) {
            const RawTensor& weight = weight_of(group);
            check_slice(weight, slice, F::layout.block);
            out.resize(F::layout, slice);
            for_each_block(weight, slice, [&](const std::byte* block, int64_t row, int64_t column) {
              if (!F::valid(block)) fail_scale(weight, slice.row + row, slice.column + column);
              const int64_t at = row * slice.columns + column, top = at / F::layout.block, sub = at / F::layout.group;
              F::split(block, {.codes = out.codes.data() + at,
                               .top = out.top.data() + top,
                               .top_min = F::layout.minimum ? out.top_min.data() + top : nullptr,
                               .sub = F::layout.two_level() ? out.sub.data() + sub : nullptr,
                               .sub_min = F::layout.two_level() && F::layout.minimum ? out.sub_min.data() + sub : nullptr});
            });
          },
      .stored = F::type,
      .columns_multiple = F::layout.block,
      .quantize =
          [](const float* values, int64_t rows, int64_t columns, const float* importance, std::byte* out) {
            constexpr int64_t block = F::layout.block;
            check_input(F::name, values, rows, columns, importance, block, kF16Limit);
            for (int64_t at = 0; at < rows * columns; at += block, out += F::bytes)
              F::quantize(values + at, importance ? importance + at % columns : nullptr, out);
          },
      .randomize =
          [](uint64_t seed, int64_t columns, std::byte* out) {
            draw_bytes(seed, columns / F::layout.block * F::bytes, out);
            SplitMix64 scales{~seed};
            for (int64_t at = 0; at < columns; at += F::layout.block, out += F::bytes) F::draw_scales(scales(), out);
          },
  };
}

/// A Format of plain elements. F has: name, type, layout, limit, Element, read(Element), write(float), and for random weights the
/// bits of 64 that are drawn (random_bits: sign and mantissa) and the exponent of 2^-6 in the others (random_exponent).
template <class F>
constexpr Format dense_format() {
  return Format{
      .name = F::name,
      .claims = [](const TensorGroup& group) { return is_lone_weight(group, F::type); },
      .shape = weight_shape,
      .layout = [](const TensorGroup&) { return F::layout; },
      .dequantize =
          [](const TensorGroup& group, const Slice2& slice, float* out) {
            using Element = typename F::Element;
            const RawTensor& weight = weight_of(group);
            check_slice(weight, slice, 1);
            for (int64_t row = 0; row < slice.rows; ++row) {
              const std::byte* bytes = weight.row(slice.row + row) + slice.column * int64_t(sizeof(Element));
              for (int64_t i = 0; i < slice.columns; ++i) {
                Element element;
                std::memcpy(&element, bytes + i * int64_t(sizeof element), sizeof element);
                *out++ = F::read(element);
              }
            }
          },
      .groups =
          [](const TensorGroup& group, const Slice2& slice, LogicalGroups& out) {
            check_slice(weight_of(group), slice, 1);
            out.resize(F::layout, slice);
            dense_format<F>().dequantize(group, slice, out.values.data());
          },
      .stored = F::type,
      .columns_multiple = 1,
      .quantize =
          [](const float* values, int64_t rows, int64_t columns, const float* importance, std::byte* out) {
            check_input(F::name, values, rows, columns, importance, 1, F::limit);
            for (int64_t i = 0; i < rows * columns; ++i) {
              const typename F::Element element = F::write(values[i]);
              std::memcpy(out + i * int64_t(sizeof element), &element, sizeof element);
            }
          },
      .randomize =
          [](uint64_t seed, int64_t columns, std::byte* out) {
            draw_bytes(seed, columns * int64_t(sizeof(typename F::Element)), out, F::random_bits, F::random_exponent);
          },
  };
}

}  // namespace gale::blocks
