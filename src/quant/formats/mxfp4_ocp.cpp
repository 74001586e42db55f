#include "base/checked.h"
#include "quant/grouped.h"

namespace gale {
namespace {

/// OCP's microscaling 4-bit floats ("Microscaling Formats (MX) Specification", 1.0, 2023) as safetensors files keep them:
///   codes   u8 [out, in / 2], or [out, in / 32, 16]: of the two codes in a byte the first is the low half, so that bytes hold
///   even
///           and odd columns, where those of GGUF's mxfp4 hold columns 16 apart
///   scales  u8 [out, in / 32]: 2^(byte - 127)
/// They are named "blocks" and "scales" (gpt-oss), "weight_packed" and "weight_scale" (compressed-tensors
/// "mxfp4-pack-quantized"), or "weight", of u32, and "scales" without biases (MLX, mode "mxfp4"). value = 2^(byte - 127) x
/// e2m1[code], here half of that scale x twice the value.
struct Mxfp4Ocp {
  const RawTensor *packed, *scales;
  int64_t out = 0, in = 0, run = 32;
  Layout layout{.kind = Layout::Kind::grouped, .bits = 4, .top = ScaleType::e8m0, .table = CodeTable::e2m1};

  explicit Mxfp4Ocp(const TensorGroup& group);
  /// Blocks of three dimensions have a row for each group.
  const std::byte* row(int64_t i) const { return packed->row(i * (packed->rows() / out)); }
  float scale(int64_t row, int64_t column) const {
    constexpr int kLargest = 252;  // 2^125 x 6 is a number, twice that is none; 255 is OCP's NaN
    const auto byte = uint8_t(scales->row(row)[column / 32]);
    require(byte <= kLargest, ErrorCode::corrupt,
            "{}: the scale of row {}, column {} is 2^{}, which gives no finite values; {} is damaged", scales->name, row, column,
            int(byte) - 127, file_of(*scales));
    return half_e8m0_to_f32(byte);
  }
  float offset(int64_t, int64_t) const { return 0; }
  void codes(const Slice2& slice, uint8_t* to) const {
    for (int64_t r = 0; r < slice.rows; ++r)
      hf::unpack_bits(row(slice.row + r), 4, slice.column, slice.columns, to + r * slice.columns);
  }
};

struct Names {
  std::string_view codes, scales;
  TensorType type;
};
constexpr Names kNames[] = {{"blocks", "scales", TensorType::u8},
                            {"weight_packed", "weight_scale", TensorType::u8},
                            {"weight", "scales", TensorType::u32}};

const Names* names_of(const TensorGroup& group) {
  if (const int64_t words = hf::mlx_words_per_scale(group); words == 2 || words == 8) return nullptr;  // MLX's other modes
  for (const Names& names : kNames) {
    const RawTensor *codes = group.part(names.codes), *scales = group.part(names.scales);
    if (codes && scales && codes->type == names.type && (scales->type == TensorType::u8 || scales->type == TensorType::f8_e8m0))
      return &names;
  }
  return nullptr;
}

Mxfp4Ocp::Mxfp4Ocp(const TensorGroup& group) {
  const Names* names = names_of(group);
  require(names != nullptr, ErrorCode::corrupt, "{}: no codes and scales of MXFP4", group.name);
  packed = group.part(names->codes), scales = group.part(names->scales);
  const Shape& shape = packed->shape;
  require(shape.rank() >= 2 && shape.rank() <= 3 && packed->elements() > 0 && (shape.rank() == 2 || shape[2] == 16),
          ErrorCode::corrupt, "{} is {}, but must be outputs by bytes, or by groups of 16 bytes", packed->name, shape.text());
  if (!packed->woven()) hf::check_bytes(*packed);
  out = shape[0], in = packed->own_bytes() / out * 2;
  require(in % 32 == 0, ErrorCode::corrupt, "{}: {} columns are no whole groups of 32", packed->name, in);
  hf::check_woven_shape(group, *scales, {out, in / 32}, ": one for each 32 columns");
}

}  // namespace

extern const Format format_mxfp4_ocp;
const Format format_mxfp4_ocp =
    grouped::format<Mxfp4Ocp>("mxfp4_ocp", [](const TensorGroup& group) { return names_of(group) != nullptr; });

}  // namespace gale
