#include "base/checked.h"
#include "quant/grouped.h"

namespace gale {
namespace {

/// OCP's microscaling 8-bit floats ("Microscaling Formats (MX) Specification", 1.0, 2023) as MLX keeps them, mode "mxfp8":
///   weight  u32 [out, in / 4]: e4m3, the first of four in the lowest byte
///   scales  u8 [out, in / 32]: 2^(byte - 127)
/// value = 2^(byte - 127) x e4m3[code]
struct Mxfp8 {
  const RawTensor *weight, *scales;
  int64_t out = 0, in = 0, run = 32;
  Layout layout{.kind = Layout::Kind::grouped, .bits = 8, .top = ScaleType::f32, .table = CodeTable::e4m3};

  explicit Mxfp8(const TensorGroup& group)
      : weight(&hf::part_of(group, "weight", "MXFP8")), scales(&hf::part_of(group, "scales", "MXFP8")) {
    hf::check_parts(group, {"weight", "scales"}, "MXFP8");
    require(weight->shape.rank() == 2 && weight->elements() > 0, ErrorCode::corrupt, "{} is {}, but must be a matrix",
            weight->name, weight->shape.text());
    hf::check_bytes(*weight);
    out = weight->shape[0], in = int64_t(weight->bytes.size()) / out;
    require(in % 32 == 0, ErrorCode::corrupt, "{}: {} columns are no whole groups of 32", weight->name, in);
    hf::check_shape(group, *scales, {out, in / 32}, ": one for each 32 columns");
  }
  float scale(int64_t row, int64_t column) const {
    const auto byte = hf::element<uint8_t>(*scales, row * (in / 32) + column / 32);
    constexpr int kLargest = 246;  // 2^119 x 448 is a number, twice that is none; 255 is OCP's NaN
    require(byte <= kLargest, ErrorCode::corrupt,
            "{}: the scale of row {}, column {} is 2^{}, which gives no finite values; {} is damaged", scales->name, row, column,
            int(byte) - 127, file_of(*scales));
    return std::ldexp(1.0f, int(byte) - 127);
  }
  float offset(int64_t, int64_t) const { return 0; }
  void codes(const Slice2& slice, uint8_t* to) const {
    for (int64_t r = 0; r < slice.rows; ++r)
      for (int64_t c = 0; c < slice.columns; ++c, ++to) {
        const int64_t row = slice.row + r, column = slice.column + c;
        *to = hf::element<uint8_t>(*weight, row * in + column);
        require((*to & 0x7f) != 0x7f, ErrorCode::corrupt, "{}: row {}, column {} is no number (byte {:#x}); {} is damaged",
                weight->name, row, column, *to, file_of(*weight));
      }
  }
};

}  // namespace

extern const Format format_mxfp8;
const Format format_mxfp8 =
    grouped::format<Mxfp8>("mxfp8", [](const TensorGroup& group) { return hf::mlx_words_per_scale(group) == 8; });

}  // namespace gale
