#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace gale {

/// How scales are stored in a layout. e8m0 is a power of two, 2^(byte - 128): half of OCP's, since tables hold doubled values.
/// e4m3, as a sub-scale, is a float of 8 bits without a sign; as a top scale one with a sign, over 448.
enum class ScaleType : uint8_t { none, f32, f16, bf16, e8m0, e4m3, u4, u6, i8 };

/// Values that codes stand for. Of 3 or 4 bits, as integers that int8 holds exactly; a power of two is left to the scales.
///   e2m1     twice the 4-bit floats of OCP's microscaling formats (1.0, 2023)
///   iq1      8 x (-1, 0 or 1, and 1/8 more or less), of GGUF's 1-bit types; 3 bits
///   iq2      the magnitudes of the grids of GGUF's 2-bit i-types, both signs; 3 bits
///   iq3_xxs  the halves of those of iq3_xxs
///   iq3_s    those of iq3_s
///   iq4      the values of iq4_nl and iq4_xs
/// And numbers that int8 does not hold exactly: inputs stay f32, or become bf16 for 8-bit floats, which bf16 holds.
///   nf4, fp4    the 16 values of bitsandbytes' types (csrc/kernels.cu, dDequantizeNF4 and dDequantizeFP4Tree)
///   e4m3, e5m2  all 8-bit floats of OCP's "OFP8" specification (1.0, 2023), e4m3 without infinities; NaN never gets here
enum class CodeTable : uint8_t { none, e2m1, iq1, iq2, iq3_xxs, iq3_s, iq4, nf4, fp4, e4m3, e5m2 };
/// [table below nf4][code]
inline constexpr int8_t kTableValues[][16] = {
    {},
    {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12},
    {-9, -7, -1, 1, 7, 9},
    {8, 25, 43, 0, -8, -25, -43, 0},
    {2, 6, 10, 14, 18, 22, 26, 31, -2, -6, -10, -14, -18, -22, -26, -31},
    {1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15},
    {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113},
};
/// [16] REQUIRES: a table of integers.
constexpr const int8_t* table_values(CodeTable table) { return kTableValues[size_t(table)]; }

constexpr bool is_number_table(CodeTable table) { return table >= CodeTable::nf4; }
/// [1 << bits of a code]
const float* table_numbers(CodeTable table);

/// What kernels read: the arrangement family of a matrix. A format (quant/formats) says which layout its groups go into; kernels
/// know nothing of formats. The values a layout stands for, all in f32 and in exactly this order of operations:
///
///   dense                       the element
///   one level                   top x (code - bias)
///   one level with zeros        top x (code - zero)
///   one level through a table   top x table[code]
///   one level with real zeros   top x (code - top_min)
///   one level with minimum      top x code - top_min
///   two levels                  (top x sub) x (code - bias)
///   two levels with minimum     (top x sub) x code - (top_min x sub_min)
///   two levels through a table  (top x sub) x table[code], divided: (sub / top) x table[code]
///   down                        top x (code - top_min), each of `group` outputs of one column: with R = outputs / group, output
///   r
///                               and column c are under the numbers of (r mod R, c)
struct Layout {
  enum class Kind : uint8_t { dense, grouped, down };
  Kind kind = Kind::dense;
  DType dense = DType::f32;  ///< element type of a dense layout: f32, f16, bf16
  uint8_t bits = 0;          ///< of a code
  int16_t group = 0;         ///< columns under one (sub-)scale; outputs, where groups run down columns
  int16_t block = 0;         ///< columns under one top scale; equals group where there is one level
  ScaleType top = ScaleType::none;
  ScaleType sub = ScaleType::none;  ///< none: one level
  bool minimum = false;
  uint8_t bias = 0;
  bool zeros = false;  ///< an integer in 0..16 per group is taken off the codes instead of the bias
  CodeTable table = CodeTable::none;
  bool real_zeros = false;  ///< any number of the scale's type per group is taken off the codes; it lies where minimums do
  bool divided = false;     ///< top scales are what sub-scales are divided by

  bool operator==(const Layout&) const = default;
  constexpr bool two_level() const { return sub != ScaleType::none; }
  /// A second number of the scale's type for each block, a minimum or a zero.
  constexpr bool has_offset() const { return minimum || real_zeros; }
  /// What a matrix has a whole number of: columns, and rows.
  constexpr int64_t columns_multiple() const;
  constexpr int64_t rows_multiple() const;
  /// "bf16", "u4 g32 f16", "u4 g32 u6 b256 f16 min", "e2m1 g32 e8m0", "u4 g128 f16 zeros", "u2 g256 f16 less 1",
  /// "u3 g64 bf16 real zeros", "u4 down g64 f16 real zeros"
  std::string name() const;
};

/// Output rows are interleaved in panels of this many, one SIMD lane an output, on every instruction set.
constexpr int64_t kPanelRows = 16;
/// Columns of a unit of panels whose groups run down columns.
constexpr int64_t kDownUnit = 32;
/// The groups that run down columns that there are kernels for. Numbers repeat by whole panels, so that a matrix has a multiple
/// of 16 x group outputs.
inline constexpr int16_t kDownGroups[] = {256, 128, 64, 32, 16, 8, 4};

constexpr int64_t Layout::columns_multiple() const { return kind == Kind::dense ? 1 : kind == Kind::down ? kDownUnit : block; }
constexpr int64_t Layout::rows_multiple() const { return kind == Kind::down ? kPanelRows * group : 1; }

constexpr Layout dense_layout(DType type) { return Layout{.kind = Layout::Kind::dense, .dense = type}; }

/// How an input row is rounded before it meets a layout: bytes per 32 columns for one level, per 256 for two (as llama.cpp does),
/// bf16 for weights of bf16 and of 8-bit floats; none for other dense layouts, for nf4 and fp4, for groups that run down columns,
/// and in exact mode.
enum class Rounding : uint8_t { none, int8_per_32, int8_per_256, bf16 };
Rounding layout_rounding(const Layout& layout);

/// A rectangle of a matrix: output rows [row, row + rows) x input columns [column, column + columns).
struct Slice2 {
  int64_t row = 0, rows = 0, column = 0, columns = 0;
};

/// A slice of a matrix, taken apart: what a format gives and what kernels arrange. Arrays are row-major over the slice; scales
/// have one entry per row and group (or block). Reused from slice to slice, so that loading allocates once.
struct LogicalGroups {
  Slice2 slice;
  std::vector<float> values;     ///< dense only: [rows, columns], exactly representable in the layout's dtype
  std::vector<uint8_t> codes;    ///< [rows, columns]
  std::vector<float> top;        ///< [rows, columns / block], exactly representable in layout.top
  std::vector<float> top_min;    ///< same, where there is a minimum or a real zero
  std::vector<uint8_t> zero;     ///< same, where there are zeros
  std::vector<int16_t> sub;      ///< [rows, columns / group], two levels only: the number, of e4m3 its byte
  std::vector<int16_t> sub_min;  ///< same, where there is a minimum
  /// Dense, where the file's elements are the layout's own: where each row of the slice begins. Then `values` is empty.
  std::vector<const std::byte*> elements;

  /// Sizes the arrays that `layout` uses for `slice` and empties the others. `period`: where groups run down columns, the outputs
  /// after which their numbers repeat; top and top_min are then [rows of the slice below it, columns].
  void resize(const Layout& layout, const Slice2& slice, int64_t period = 0);
  /// The same for a dense slice whose rows stay where they are: sizes `elements`.
  void resize_in_place(const Slice2& slice);
};

}  // namespace gale
