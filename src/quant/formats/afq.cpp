#include "base/checked.h"
#include "base/json.h"
#include "checkpoint/hf_experts.h"
#include "quant/file_parts.h"
#include "quant/grouped.h"

namespace gale {
namespace {

/// MLX's affine quantization (mlx/ops.cpp, affine_quantize), which mistral.rs calls AFQ:
///   weight          u32 [out, in x bits / 32]: codes from the lowest bit on, over the borders of bytes and words
///   scales, biases  f16, bf16 or f32 [out, in / group size]
/// value = scale x code + bias. The config says "quantization": {"bits", "group_size"}, and may say otherwise for single weights
/// under their names; in mistral.rs's files a part "group_size", u8, says it. Bits follow from the shapes.
struct Afq {
  const RawTensor *weight, *scales, *biases;
  int64_t out = 0, in = 0, run = 0, bits = 0;
  Layout layout;

  explicit Afq(const TensorGroup& group);
  int64_t at(int64_t row, int64_t column) const { return row * scales->shape[1] + column / run; }
  float scale(int64_t row, int64_t column) const { return hf::finite_number(*scales, at(row, column)); }
  float offset(int64_t row, int64_t column) const { return -hf::finite_number(*biases, at(row, column)); }
  void codes(const Slice2& slice, uint8_t* to) const {
    const int64_t stride = weight->shape[1] * 4;
    for (int64_t r = 0; r < slice.rows; ++r)
      hf::unpack_bits(weight->bytes.data() + (slice.row + r) * stride, int(bits), slice.column, slice.columns,
                      to + r * slice.columns);
  }
};

int64_t group_size(const TensorGroup& group) {
  if (const RawTensor* own = group.part("group_size")) {
    hf::check_type(*own, own->type == TensorType::u8, "AFQ");
    hf::check_shape(group, *own, {}, ": one number");
    return hf::element<uint8_t>(*own, 0);
  }
  const Json* config = group.quantization_config;
  if (config == nullptr || !config->is_object()) return 64;
  const int64_t all = hf::config_number(config, "group_size", 64);
  auto own = config->find(group.name);
  if (const auto one = expert_name(group.name + "."); one && own == config->end())  // experts are one weight in MLX
    own = config->find(one->fused.substr(0, one->fused.size() - 1));
  return own != config->end() && own->is_object() ? hf::config_number(&*own, "group_size", all) : all;
}

Afq::Afq(const TensorGroup& group)
    : weight(&hf::part_of(group, "weight", "MLX")),
      scales(&hf::part_of(group, "scales", "MLX")),
      biases(&hf::part_of(group, "biases", "affine MLX")) {
  hf::check_type(*weight, weight->type == TensorType::u32, "MLX");
  for (const RawTensor* part : {weight, scales, biases}) {
    require(part->shape.rank() == 2 && part->elements() > 0, ErrorCode::corrupt, "{} is {}, but must be a matrix", part->name,
            part->shape.text());
    hf::check_bytes(*part);
  }
  out = weight->shape[0], run = group_size(group);
  require(run > 0 && run <= INT32_MAX && scales->shape[1] <= INT32_MAX, ErrorCode::corrupt, "{}: groups of {} are none",
          group.name, run);
  in = checked_mul(scales->shape[1], run, group.name);
  const int64_t stored = checked_mul(weight->shape[1], 32, group.name);
  bits = stored / in;
  require(stored % in == 0 && (bits == 2 || bits == 3 || bits == 4 || bits == 5 || bits == 6 || bits == 8), ErrorCode::corrupt,
          "{} is {} and {} is {}: with groups of {} that are {} bits for {} columns, and no whole 2, 3, 4, 5, 6 or 8 for each",
          weight->name, weight->shape.text(), scales->name, scales->shape.text(), run, stored, in);
  for (const RawTensor* part : {scales, biases}) {
    hf::check_type(*part, hf::is_float(part->type), "MLX");
    hf::check_shape(group, *part, {out, in / run}, ": one for each output and group");
  }
  const bool alike = scales->type == biases->type;
  layout = {.kind = Layout::Kind::grouped,
            .bits = uint8_t(bits),
            .top = alike ? hf::scale_type(*scales) : ScaleType::f32,
            .minimum = true};
}

bool claims(const TensorGroup& group) {
  const RawTensor* weight = group.part("weight");
  return weight != nullptr && weight->type == TensorType::u32 && group.part("scales") != nullptr &&
         group.part("biases") != nullptr;
}

std::vector<FilePart> encode(const MadeMatrix& made) {
  file_parts::Parts parts(made);
  const int64_t words = made.columns * made.bits() / 32, across = made.across();
  parts.add("weight", TensorType::u32, {made.rows, words}, [&](std::byte* to) {
    for (int64_t r = 0; r < made.rows; ++r) made::pack_bits(made.codes(r), made.bits(), made.columns, to + r * words * 4);
  });
  parts.add("scales", TensorType::f16, {made.rows, across}, [&](std::byte* to) {
    for (int64_t i = 0; i < made.rows * across; ++i) file_parts::store_f16(to, i, made.top(0, i));
  });
  parts.add("biases", TensorType::f16, {made.rows, across}, [&](std::byte* to) {
    for (int64_t i = 0; i < made.rows * across; ++i) file_parts::store_f16(to, i, -made.top_min(0, i));
  });
  return parts.take();
}

/// mlx_lm/utils.py, quantize_model: the same under both names. Modules of other bits say so.
Json file_config(const Format& made, std::span<const FileModule> others) {
  const auto settings = [](const Format& format) {
    return Json{{"group_size", tensor_type_info(format.stored).block}, {"bits", format.file_bits}, {"mode", "affine"}};
  };
  Json all = settings(made);
  for (const FileModule& module : others)
    if (module.made != nullptr) all[module.name] = settings(*module.made);
  return {{"quantization", all}, {"quantization_config", all}};
}

constexpr Format with_files() {
  Format out = grouped::format<Afq>("afq", claims);
  out.encode = encode, out.file_config = file_config;
  return out;
}

}  // namespace

extern const Format format_afq;
const Format format_afq = with_files();

}  // namespace gale
