#include <algorithm>
#include <cmath>

#include "quant/blocks.h"
#include "quant/hf_parts.h"

namespace gale {
namespace {

/// NVIDIA's 4-bit floats with two levels of scales, as safetensors files keep them ("Introducing NVFP4", 2025):
///   codes   u8 [out, in / 2]: e2m1, the first of two columns in the low half
///   scales  f8_e4m3 [out, in / 16], none negative
///   global  f32, one number
///                        codes          scales        global               value
///   ModelOpt             weight         weight_scale  weight_scale_2       (global x scale) x e2m1
///   compressed-tensors   weight_packed  weight_scale  weight_global_scale  (scale / global) x e2m1
///   MLX, mode "nvfp4"    weight, u32    scales, u8    global_scale / 2688  (global x scale) x e2m1; experts only, else 1
/// (modelopt/torch/quantization/qtensor/nvfp4_tensor.py, dequantize; compressed_tensors/quantization/lifecycle/forward.py,
/// _dequantize; mlx/backend/cpu/quantized.cpp, fp_quantize_dequantize, whose global_scale is the largest magnitude.) Both levels
/// are kept: f32(global x scale) x e2m1 is not global x f32(scale x e2m1), and a division is not a multiplication by the
/// reciprocal. Codes stand for twice their value, so that the global scale is halved, or doubled where it divides, which changes
/// no bit.
struct Nvfp4 {
  const RawTensor *packed, *scales;
  bool divided = false;
  int64_t out = 0, in = 0;
  float top = 0;

  explicit Nvfp4(const TensorGroup& group);
  void find_top(const TensorGroup& group, const struct Names& names);
  Layout layout() const;
  uint8_t sub(int64_t row, int64_t column) const {
    const auto byte = hf::element<uint8_t>(*scales, row * (in / 16) + column / 16);
    require(byte < 0x7f, ErrorCode::corrupt,
            "{}: the scale of row {}, column {} is negative or no number (byte {:#x}); {} is damaged", scales->name, row, column,
            byte, file_of(*scales));
    return byte;
  }
  void codes(int64_t row, int64_t column, int64_t n, uint8_t* to) const {
    hf::unpack_bits(packed->bytes.data() + row * in / 2, 4, column, n, to);
  }
};

struct Names {
  std::string_view codes, scales, global;
  bool divided = false;
  float over = 1;  // the global scale is that many times what is meant; above 1 it may be absent
};
constexpr float kMlxLargest = 448 * 6;
constexpr Names kNames[] = {{"weight_packed", "weight_scale", "weight_global_scale", true},
                            {"weight", "weight_scale", "weight_scale_2"}};
constexpr Names kMlxNames = {"weight", "scales", "global_scale", false, kMlxLargest};

const Names* names_of(const TensorGroup& group) {
  if (hf::mlx_words_per_scale(group) == 2) return &kMlxNames;
  for (const Names& names : kNames) {
    const RawTensor *codes = group.part(names.codes), *scales = group.part(names.scales);
    if (codes && scales && codes->type == TensorType::u8 && scales->type == TensorType::f8_e4m3) return &names;
  }
  return nullptr;
}

Nvfp4::Nvfp4(const TensorGroup& group) {
  const Names* names = names_of(group);
  require(names != nullptr, ErrorCode::corrupt, "{}: no codes and scales of NVFP4", group.name);
  packed = group.part(names->codes), scales = group.part(names->scales), divided = names->divided;
  hf::check_parts(group, {names->codes, names->scales, names->global, "weight_shape"}, "NVFP4");
  require(packed->shape.rank() == 2 && packed->elements() > 0, ErrorCode::corrupt, "{} is {}, but must be a matrix", packed->name,
          packed->shape.text());
  hf::check_bytes(*packed);
  out = packed->shape[0], in = int64_t(packed->bytes.size()) / out * 2;
  require(in % 16 == 0, ErrorCode::corrupt, "{}: {} columns are no whole groups of 16", packed->name, in);
  hf::check_shape(group, *scales, {out, in / 16}, ": one for each 16 columns");
  find_top(group, *names);
}

void Nvfp4::find_top(const TensorGroup& group, const Names& names) {
  top = divided ? 2.0f : 0.5f;
  if (names.over > 1 && group.part(names.global) == nullptr) return;
  const RawTensor* global = &hf::part_of(group, names.global, "NVFP4");
  hf::check_type(*global, global->type == TensorType::f32, "NVFP4");
  hf::check_bytes(*global);
  require(global->elements() == 1, ErrorCode::corrupt, "{} is {}, but must be one number", global->name, global->shape.text());
  const float said = hf::finite_number(*global, 0);
  require(said > 0, ErrorCode::corrupt, "{}: a scale of {} over all, which must be above 0; {} is damaged", global->name, said,
          file_of(*global));
  top *= said / names.over;
  constexpr float kLargestScale = 448, kLargestCode = 12;
  require(std::isfinite((divided ? kLargestScale / top : top * kLargestScale) * kLargestCode), ErrorCode::corrupt,
          "{}: with a scale of {} over all, weights can be infinite; {} is damaged", global->name, hf::number(*global, 0),
          file_of(*global));
}

Layout Nvfp4::layout() const {
  for (const int16_t block : {256, 128, 64})
    if (in % block == 0)
      return {.kind = Layout::Kind::grouped,
              .bits = 4,
              .group = 16,
              .block = block,
              .top = ScaleType::f32,
              .sub = ScaleType::e4m3,
              .table = CodeTable::e2m1,
              .divided = divided};
  return dense_layout(DType::f32);
}

void values(const Nvfp4& w, const Slice2& slice, float* out) {
  for (int64_t r = 0; r < slice.rows; ++r)
    for (int64_t c = 0; c < slice.columns; ++c) {
      const int64_t row = slice.row + r, column = slice.column + c;
      uint8_t code;
      w.codes(row, column, 1, &code);
      const float sub = table_numbers(CodeTable::e4m3)[w.sub(row, column)];
      *out++ = (w.divided ? sub / w.top : w.top * sub) * float(table_values(CodeTable::e2m1)[code]);
    }
}

void groups(const TensorGroup& group, const Slice2& slice, LogicalGroups& out) {
  const Nvfp4 w(group);
  const Layout layout = w.layout();
  const bool dense = layout.kind == Layout::Kind::dense;
  blocks::check_slice(group.name, {w.out, w.in}, slice, dense ? 1 : layout.block);
  out.resize(layout, slice);
  if (dense) return values(w, slice, out.values.data());
  std::ranges::fill(out.top, w.top);
  const int64_t subs = slice.columns / 16;
  for (int64_t r = 0; r < slice.rows; ++r) {
    w.codes(slice.row + r, slice.column, slice.columns, out.codes.data() + r * slice.columns);
    for (int64_t i = 0; i < subs; ++i) out.sub[size_t(r * subs + i)] = w.sub(slice.row + r, slice.column + i * 16);
  }
}

}  // namespace

extern const Format format_nvfp4_hf;
const Format format_nvfp4_hf = {
    .name = "nvfp4_hf",
    .claims = [](const TensorGroup& group) { return names_of(group) != nullptr; },
    .shape =
        [](const TensorGroup& group) {
          const Nvfp4 w(group);
          return std::pair(w.out, w.in);
        },
    .layout = [](const TensorGroup& group) { return Nvfp4(group).layout(); },
    .dequantize =
        [](const TensorGroup& group, const Slice2& slice, float* out) {
          const Nvfp4 w(group);
          blocks::check_slice(group.name, {w.out, w.in}, slice, 1);
          values(w, slice, out);
        },
    .groups = groups,
};

}  // namespace gale
