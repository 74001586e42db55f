#include "base/checked.h"
#include "base/json.h"
#include "quant/file_parts.h"
#include "quant/grouped.h"

namespace gale {
namespace {

/// 8-bit floats ("OCP 8-bit Floating Point Specification", 1.0, 2023) under scales that multiply:
///   weight            f8_e4m3 or f8_e5m2 [out, in]
///   weight_scale_inv  f32 [out / 128, in / 128], rounded up: block-scaled, as DeepSeek-V3 writes it
///   (inference/fp8_cast_bf16.py);
///                     blocks of another size say so in "weight_block_size"
///   weight_scale      one number (per tensor), [out] or [out, 1] (per channel), or blocks: compressed-tensors "float-quantized",
///                     ModelOpt, FBGEMM
///   neither           the values themselves, where no config says that the checkpoint is quantized
/// value = scale x weight. `input_scale`, which static activation schemes have, tells how others round the inputs; ours are not
/// rounded at all.
struct Fp8 {
  const RawTensor *weight, *scales;
  int64_t out = 0, in = 0, run = 0;
  int64_t block_rows = 0, block_columns = 0, across = 0;  // of a scale; scales in a row of blocks
  Layout layout{.kind = Layout::Kind::grouped, .bits = 8, .top = ScaleType::f32};

  explicit Fp8(const TensorGroup& group);
  float scale(int64_t row, int64_t column) const {
    return scales == nullptr ? 1.0f : hf::finite_number(*scales, row / block_rows * across + column / block_columns);
  }
  float offset(int64_t, int64_t) const { return 0; }
  void codes(const Slice2& slice, uint8_t* to) const;
};

bool is_fp8(TensorType type) { return type == TensorType::f8_e4m3 || type == TensorType::f8_e5m2; }

/// Rows and columns of a block, by the config: {0, 0} where it does not say.
std::pair<int64_t, int64_t> block_size(const Json* config) {
  if (config == nullptr || !config->is_object()) return {0, 0};
  auto size = config->find("weight_block_size");
  if (const auto groups = config->find("config_groups"); size == config->end() && groups != config->end() && groups->is_object())
    for (const auto& [name, one] : groups->items())
      if (one.is_object() && one.contains("weights") && one["weights"].is_object() &&
          one["weights"].contains("block_structure")) {
        const Json& found = one["weights"]["block_structure"];
        if (found.is_array() && found.size() == 2 && found[0].is_number_integer() && found[1].is_number_integer())
          return {found[0].get<int64_t>(), found[1].get<int64_t>()};
      }
  if (size == config->end() || !size->is_array() || size->size() != 2) return {0, 0};
  if (!(*size)[0].is_number_integer() || !(*size)[1].is_number_integer()) return {0, 0};
  return {(*size)[0].get<int64_t>(), (*size)[1].get<int64_t>()};
}

Fp8::Fp8(const TensorGroup& group) : weight(&hf::part_of(group, "weight", "FP8")), scales(group.part("weight_scale_inv")) {
  if (scales == nullptr) scales = group.part("weight_scale");
  require(weight->shape.rank() == 2 && weight->elements() > 0, ErrorCode::corrupt, "{} is {}, but must be a matrix", weight->name,
          weight->shape.text());
  hf::check_bytes(*weight);
  hf::check_parts(group, {"weight", "weight_scale_inv", "weight_scale"}, "FP8");
  const Json* config = group.quantization_config;
  require(scales != nullptr || config == nullptr || config->empty(), ErrorCode::corrupt,
          "{0}: neither \"{0}_scale\" nor \"{0}_scale_inv\" is there, without which it says nothing; {1} is incomplete",
          weight->name, file_of(*weight));
  out = weight->shape[0], in = weight->shape[1];
  layout.table = weight->type == TensorType::f8_e5m2 ? CodeTable::e5m2 : CodeTable::e4m3;
  block_rows = out, block_columns = in, across = 1;
  if (scales != nullptr) {
    hf::check_type(*scales, hf::is_float(scales->type) || scales->type == TensorType::f8_e8m0, "FP8");
    hf::check_bytes(*scales);
    const Shape& shape = scales->shape;
    if (scales->elements() == out && (shape.rank() == 1 || (shape.rank() > 1 && shape[-1] == 1))) {
      block_rows = 1;
    } else if (scales->elements() != 1) {
      auto [rows, columns] = block_size(group.quantization_config);
      if (rows <= 0 || columns <= 0) rows = columns = 128;
      require(shape.rank() == 2 && shape[0] == ceil_div(out, rows) && shape[1] == ceil_div(in, columns), ErrorCode::corrupt,
              "{} is {}, but {} needs one number, one for each of {} outputs, or {} for blocks of {} x {}", scales->name,
              shape.text(), group.name, out, Shape{ceil_div(out, rows), ceil_div(in, columns)}.text(), rows, columns);
      block_rows = rows, block_columns = columns, across = shape[1];
    }
  }
  run = block_columns;
}

void Fp8::codes(const Slice2& slice, uint8_t* to) const {
  const uint8_t least = weight->type == TensorType::f8_e5m2 ? 0x7c : 0x7f;  // from here on, without the sign, no number
  for (int64_t r = 0; r < slice.rows; ++r, to += slice.columns) {
    std::memcpy(to, weight->bytes.data() + (slice.row + r) * in + slice.column, size_t(slice.columns));
    bool good = true;
    for (int64_t c = 0; c < slice.columns; ++c) good &= (to[c] & 0x7f) < least;
    for (int64_t c = 0; !good && c < slice.columns; ++c)
      require((to[c] & 0x7f) < least, ErrorCode::corrupt, "{}: row {}, column {} is no finite number (byte {:#x}); {} is damaged",
              weight->name, slice.row + r, slice.column + c, to[c], file_of(*weight));
  }
}

bool claims(const TensorGroup& group) {
  const RawTensor* weight = group.part("weight");
  return weight != nullptr && is_fp8(weight->type) && weight->layout.empty();
}

constexpr int64_t kBlock = 128;  // DeepSeek's, rows and columns

std::vector<FilePart> encode(const MadeMatrix& made) {
  file_parts::Parts parts(made);
  parts.add("weight", TensorType::f8_e4m3, {made.rows, made.columns},
            [&](std::byte* to) { std::memcpy(to, made.groups->codes.data(), size_t(made.rows * made.columns)); });
  if (made.format.rows_together == 1) {
    parts.add("weight_scale", TensorType::f32, {made.rows, 1}, [&](std::byte* to) {
      for (int64_t r = 0; r < made.rows; ++r) file_parts::store_f32(to, r, made.top(r, 0));
    });
    return parts.take();
  }
  const int64_t down = ceil_div(made.rows, kBlock), across = ceil_div(made.columns, kBlock);
  parts.add("weight_scale_inv", TensorType::f32, {down, across}, [&](std::byte* to) {
    for (int64_t i = 0; i < down * across; ++i)
      file_parts::store_f32(to, i, made.top(i / across * kBlock, i % across * kBlock / made.layout.block));
  });
  return parts.take();
}

/// In blocks as DeepSeek-V3 has it, else as llm-compressor's scheme FP8_DYNAMIC.
Json file_config(const Format& made, std::span<const FileModule> others) {
  if (made.rows_together > 1)
    return {{"quantization_config",
             {{"quant_method", "fp8"},
              {"fmt", "e4m3"},
              {"activation_scheme", "dynamic"},
              {"weight_block_size", {kBlock, kBlock}},
              {"modules_to_not_convert", file_parts::names_of(others)}}}};
  const auto floats = [](const char* strategy, bool dynamic) {
    return Json{{"num_bits", 8}, {"type", "float"}, {"strategy", strategy}, {"symmetric", true}, {"dynamic", dynamic}};
  };
  const Json group{{"targets", {"Linear"}}, {"weights", floats("channel", false)}, {"input_activations", floats("token", true)}};
  return {{"quantization_config",
           {{"quant_method", "compressed-tensors"},
            {"format", "float-quantized"},
            {"quantization_status", "compressed"},
            {"config_groups", {{"group_0", group}}},
            {"ignore", file_parts::names_of(others)}}}};
}

constexpr Format with_files() {
  Format out = grouped::format<Fp8>("fp8_hf", claims);
  out.encode = encode, out.file_config = file_config;
  return out;
}

}  // namespace

extern const Format format_fp8_hf;
const Format format_fp8_hf = with_files();

}  // namespace gale
