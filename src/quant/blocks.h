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
inline bool finite_f16(const std::byte* p) { return (load_u16(p) & 0x7c00) != 0x7c00; }

/// The low halves of N bytes, then their high halves: 2 N codes. Through a copy, so that the compiler knows that what is written
/// is not what is read, and takes 16 bytes at a time.
template <int N>
inline void split_nibbles(const std::byte* from, uint8_t* out) {
  uint8_t both[N];
  std::memcpy(both, from, N);
  for (int i = 0; i < N; ++i) out[i] = both[i] & 15;
  for (int i = 0; i < N; ++i) out[N + i] = both[i] >> 4;
}

/// 32 codes of 5 bits: the low 4 of columns 0-15 and 16-31 in the halves of 16 bytes, and 4 bytes with the fifth of column i at
/// bit i.
inline void split_fives(const std::byte* nibbles, const std::byte* fifths, uint8_t* out) {
  split_nibbles<16>(nibbles, out);
  uint32_t high;
  std::memcpy(&high, fifths, 4);
  for (int i = 0; i < 32; ++i) out[i] |= uint8_t((high >> i & 1) << 4);
}
inline void join_fives(const uint8_t* codes, std::byte* nibbles, std::byte* fifths) {
  uint32_t high = 0;
  for (int i = 0; i < 32; ++i) high |= uint32_t(codes[i] >> 4) << i;
  for (int i = 0; i < 16; ++i) nibbles[i] = std::byte((codes[i] & 15) | (codes[i + 16] & 15) << 4);
  std::memcpy(fifths, &high, 4);
}

/// Nearest integer, halves away from zero, for |x| < 2^22. The constant is the largest float below a half: with a half itself,
/// 0.49999997 would come out as 1. Vectorises everywhere, which std::round does not.
inline int32_t round_away(float x) { return int32_t(x + std::copysign(0x1.fffffep-2f, x)); }

/// Where the parts of one block go in a LogicalGroups; pointers that the layout does not use are never written.
struct BlockParts {
  uint8_t* codes;
  float *top, *top_min;
  int16_t *sub, *sub_min;
};

/// The same of a block that is put together again.
struct JoinedBlock {
  const uint8_t* codes;
  float top, top_min;
  const int16_t *sub, *sub_min;
};

inline const RawTensor& weight_of(const TensorGroup& group) {
  const RawTensor* weight = group.part("weight");
  require(weight != nullptr, ErrorCode::corrupt, "{}: no tensor \"{}.weight\"", group.name, group.name);
  return *weight;
}

/// A lone weight of that type. A bias beside it is none of the format's business; any other part (scales, zero points) means that
/// the weight is some other format's, and so is one whose bytes are arranged for kernels.
inline bool is_lone_weight(const TensorGroup& group, TensorType type) {
  const RawTensor* weight = group.part("weight");
  if (weight == nullptr || weight->type != type || !weight->layout.empty()) return false;
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
/// Throws Error{corrupt} saying what is wrong with a block.
[[noreturn]] void fail_block(const RawTensor& weight, int64_t row, int64_t column, std::string_view fault);
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

/// A row to quantize: f32 [blocks, columns of one] to `blocks` blocks at `out`.
struct BlockRow {
  const CpuKernels& cpu;
  const float *x, *importance;  ///< of each column; importance may be nullptr
  int64_t blocks;
  std::byte* out;
};

/// 1 / d; 0 where that is no number.
inline float inverse_or_zero(float d) {
  const float inverse = d != 0 ? 1.0f / d : 0.0f;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

/// Random bytes; of every 64-bit word the bits in `kept`, the others from `fixed`.
void draw_bytes(uint64_t seed, int64_t n, std::byte* out, uint64_t kept = ~uint64_t(0), uint64_t fixed = 0);

/// Largest magnitude a format with f16 scales takes; a scale computed from it cannot overflow.
inline constexpr float kF16Limit = 65504.0f;

/// The largest magnitude that F takes: F::limit where it says so.
template <class F>
constexpr float limit_of() {
  if constexpr (requires { F::limit; })
    return F::limit;
  else
    return kF16Limit;
}

/// What is wrong with a block that is not valid: usually a scale that is not finite, which would poison every sum it enters.
template <class F>
constexpr std::string_view fault_of(const std::byte* block) {
  if constexpr (requires { F::fault(block); })
    return F::fault(block);
  else
    return "its scale gives no finite values";
}

/// Takes row `row` of a slice apart, which begins at `bytes`. The pointers are locals and the check of a run's scales one, so
/// that the compiler keeps everything in registers; and memory is asked for ahead, since hardware stops at the end of each page:
/// of the row, and past its end `skip` bytes further on.
template <class F>
void split_row(const RawTensor& weight, const Slice2& slice, int64_t row, const std::byte* bytes, int64_t skip,
               LogicalGroups& out) {
  constexpr int64_t block = F::layout.block, groups = block / F::layout.group, run = F::bytes < 64 ? 16 : 1;
  constexpr bool minimum = F::layout.has_offset(), two_level = F::layout.sub != ScaleType::none;
  constexpr int64_t ahead = 2048;
  const int64_t blocks = slice.columns / block;
  BlockParts parts{.codes = out.codes.data() + row * slice.columns,
                   .top = out.top.data() + row * blocks,
                   .top_min = minimum ? out.top_min.data() + row * blocks : nullptr,
                   .sub = two_level ? out.sub.data() + row * blocks * groups : nullptr,
                   .sub_min = two_level && minimum ? out.sub_min.data() + row * blocks * groups : nullptr};
  int64_t left = (weight.columns() - slice.column) / block * F::bytes;  // to the row's end
  for (int64_t first = 0; first < blocks; first += run, left -= run * F::bytes) {
    const uintptr_t soon = reinterpret_cast<uintptr_t>(bytes) + uintptr_t(left > ahead ? ahead : ahead + skip);
    for (int64_t line = 0; line < run * F::bytes; line += 64)
      __builtin_prefetch(reinterpret_cast<const void*>(soon + uintptr_t(line)), 0, 2);
    const int64_t n = blocks - first < run ? blocks - first : run;
    bool valid = true;
    for (int64_t i = 0; i < n; ++i, bytes += F::bytes) {
      valid &= F::valid(bytes);
      F::split(bytes, parts);
      parts.codes += block;
      parts.top += 1;
      if constexpr (minimum) parts.top_min += 1;
      if constexpr (two_level) parts.sub += groups;
      if constexpr (two_level && minimum) parts.sub_min += groups;
    }
    for (int64_t i = 0; !valid && i < n; ++i)
      if (const std::byte* at = bytes - (n - i) * F::bytes; !F::valid(at))
        fail_block(weight, slice.row + row, slice.column + (first + i) * block, fault_of<F>(at));
  }
}

/// Format::join.
template <class F>
void join_rows(const LogicalGroups& groups, int64_t columns, std::byte* out) {
  constexpr int64_t block = F::layout.block, subs = block / F::layout.group;
  const int64_t n = groups.slice.rows * columns / block;
  for (int64_t b = 0; b < n; ++b, out += F::bytes) {
    const auto at = size_t(b), sub = size_t(b * subs);
    F::join({.codes = groups.codes.data() + b * block,
             .top = groups.top[at],
             .top_min = groups.top_min.empty() ? 0.0f : groups.top_min[at],
             .sub = groups.sub.empty() ? nullptr : groups.sub.data() + sub,
             .sub_min = groups.sub_min.empty() ? nullptr : groups.sub_min.data() + sub},
            out);
  }
}

/// A Format of blocks. F has: name, type, layout, bytes (of a block), valid(block) (its scales are finite), values(block, out)
/// and split(block, parts). Where it can be made it has quantize(BlockRow) and draw_scales(random bits, block), which makes a
/// block of random bytes one of small weights; `weighs` = false where quantize makes no use of importance. fault(block) says what
/// is not valid if that may be anything else than a scale; join(joined block, block) is the inverse of split, where a model that
/// is packed can be written in this type again; limit is the largest magnitude it holds, if that is not f16's.
template <class F>
constexpr Format block_format() {
  Format out{
      .name = F::name,
      .claims = [](const TensorGroup& group) { return is_lone_weight(group, F::type) && !weight_of(group).woven(); },
      .shape = weight_shape,
      .layout = [](const TensorGroup&) { return F::layout; },
      .dequantize =
          [](const TensorGroup& group, const Slice2& slice, float* out) {
            const RawTensor& weight = weight_of(group);
            for_each_block(weight, slice, [&](const std::byte* block, int64_t row, int64_t column) {
              if (!F::valid(block)) fail_block(weight, slice.row + row, slice.column + column, fault_of<F>(block));
              F::values(block, out + row * slice.columns + column);
            });
          },
      .groups =
          [](const TensorGroup& group, const Slice2& slice, LogicalGroups& out) {
            const RawTensor& weight = weight_of(group);
            check_slice(weight, slice, F::layout.block);
            out.resize(F::layout, slice);
            const int64_t rows = weight.rows(), stride = weight.row_stride();
            const std::byte* corner = weight.bytes.data() + slice.column / F::layout.block * F::bytes;
            for (int64_t row = 0; row < slice.rows; ++row) {
              const int64_t in_file = interleaved_row(slice.row + row, rows, weight.interleaved_heads);
              split_row<F>(weight, slice, row, corner + in_file * stride, (slice.rows - 1) * stride, out);
            }
          },
      .stored = F::type,
      .columns_multiple = F::layout.block,
  };
  if constexpr (requires(const JoinedBlock& from, std::byte* to) { F::join(from, to); }) out.join = join_rows<F>;
  if constexpr (requires(const BlockRow& row) { F::quantize(row); }) {
    out.quantize = [](const CpuKernels& cpu, const float* values, int64_t rows, int64_t columns, const float* importance,
                      std::byte* to) {
      constexpr int64_t block = F::layout.block;
      check_input(F::name, values, rows, columns, importance, block, limit_of<F>());
      const int64_t n = columns / block;
      for (int64_t row = 0; row < rows; ++row) F::quantize({cpu, values + row * columns, importance, n, to + row * n * F::bytes});
    };
    out.weighs = true;
    if constexpr (requires { F::weighs; }) out.weighs = F::weighs;
    out.randomize = [](uint64_t seed, int64_t columns, std::byte* to) {
      draw_bytes(seed, columns / F::layout.block * F::bytes, to);
      SplitMix64 scales{~seed};
      for (int64_t at = 0; at < columns; at += F::layout.block, to += F::bytes) F::draw_scales(scales(), to);
    };
  }
  return out;
}

/// The values of a slice of plain elements, which may lie apart.
template <class F>
void read_elements(const RawTensor& weight, const Slice2& slice, float* out) {
  using Element = typename F::Element;
  const int64_t apart = weight.column_apart != 0 ? weight.column_apart : int64_t(sizeof(Element));
  for (int64_t row = 0; row < slice.rows; ++row) {
    const std::byte* bytes = weight.row(slice.row + row) + slice.column * apart;
    float* to = out + row * slice.columns;
    for (int64_t i = 0; i < slice.columns; ++i) {
      Element element;
      std::memcpy(&element, bytes + i * apart, sizeof element);
      to[i] = F::read(element);
    }
  }
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
            const RawTensor& weight = weight_of(group);
            check_slice(weight, slice, 1);
            read_elements<F>(weight, slice, out);
          },
      .groups =
          [](const TensorGroup& group, const Slice2& slice, LogicalGroups& out) {
            const RawTensor& weight = weight_of(group);
            check_slice(weight, slice, 1);
            if (weight.column_apart != 0) {
              out.resize(F::layout, slice);
              return read_elements<F>(weight, slice, out.values.data());
            }
            out.resize_in_place(slice);
            for (int64_t row = 0; row < slice.rows; ++row)
              out.elements[size_t(row)] = weight.row(slice.row + row) + slice.column * int64_t(sizeof(typename F::Element));
          },
      .stored = F::type,
      .columns_multiple = 1,
      .quantize =
          [](const CpuKernels&, const float* values, int64_t rows, int64_t columns, const float* importance, std::byte* out) {
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
