#include <optional>

#include "base/checked.h"
#include "base/json.h"
#include "base/parse_json.h"
#include "quant/file_parts.h"
#include "quant/grouped.h"

namespace gale {
namespace {

/// bitsandbytes (Dettmers et al., "QLoRA", 2023, and "LLM.int8()", 2022). Of 4 bits:
///   weight                                  u8 [n / 2, 1]: codes of the flattened matrix, the first of two in the high nibble
///   weight.quant_state.bitsandbytes__<nf4 or fp4>  JSON as u8: quant_type, blocksize, shape [out, in], and where absmax is
///   nested
///                                           nested_blocksize and nested_offset
///   weight.absmax                           f32 [blocks], or where it is nested u8 codes
///   weight.quant_map                        f32 [16]: the table, which is always the type's own
///   weight.nested_absmax, .nested_quant_map f32 [blocks of blocks], f32 [256]
/// Blocks run over the flattened matrix and may cross its rows. value = table[code] x absmax, and a nested absmax is
/// nested_quant_map[code] x nested_absmax + nested_offset (bitsandbytes/functional.py, dequantize_4bit, QuantState).
struct Bnb4 {
  const RawTensor *weight, *absmax, *nested_absmax = nullptr, *nested_map = nullptr;
  int64_t out = 0, in = 0, run = 0, block = 0, nested_block = 0;
  float nested_offset = 0;
  Layout layout{.kind = Layout::Kind::grouped, .bits = 4, .top = ScaleType::f32};

  explicit Bnb4(const TensorGroup& group);
  float scale(int64_t row, int64_t column) const {
    const int64_t i = (row * in + column) / block;
    if (nested_absmax == nullptr) return hf::finite_number(*absmax, i);
    const float outer = hf::finite_number(*nested_absmax, i / nested_block);
    return hf::finite_number(*nested_map, hf::element<uint8_t>(*absmax, i)) * outer + nested_offset;
  }
  float offset(int64_t, int64_t) const { return 0; }
  void codes(const Slice2& slice, uint8_t* to) const {
    const int64_t least = slice.row * in + slice.column;
    for (int64_t r = 0; r < slice.rows; ++r)
      for (int64_t c = 0, i = least + r * in; c < slice.columns; ++c, ++i) {
        const auto both = hf::element<uint8_t>(*weight, i / 2);
        *to++ = i % 2 == 0 ? both >> 4 : both & 15;
      }
  }
};

/// Bytes, or what "bnb_4bit_quant_storage" calls the same bytes so that others can move them about (FSDP).
bool holds_codes(TensorType type) { return hf::is_byte(type) || hf::is_float(type); }

constexpr std::string_view kState = "weight.quant_state.bitsandbytes__";
/// Of absmax in blocks of its own, where the file does not say: what quantize_4bit gives quantize_blockwise
/// (bitsandbytes/functional.py, compress_statistics).
constexpr int64_t kNestedBlock = 256;

const RawTensor* quant_state(const TensorGroup& group) {
  for (const auto& [suffix, tensor] : group.parts)
    if (suffix.starts_with(kState)) return tensor;
  return nullptr;
}

Json parsed(const RawTensor& state) {
  hf::check_bytes(state);
  const auto* text = reinterpret_cast<const char*>(state.bytes.data());
  Json out = parse_json_text({text, state.bytes.size()}, fmt::format("{}: {}", state.source, state.name));
  require(out.is_object(), ErrorCode::corrupt, "{} is no JSON object; {} is damaged", state.name, state.source);
  return out;
}

Bnb4::Bnb4(const TensorGroup& group)
    : weight(&hf::part_of(group, "weight", "bitsandbytes")), absmax(&hf::part_of(group, "weight.absmax", "bitsandbytes")) {
  constexpr std::string_view kKind = "bitsandbytes";
  const RawTensor* found = quant_state(group);
  require(found != nullptr, ErrorCode::corrupt, "{}: no tensor \"{}.{}nf4\" or \"...fp4\", which says its shape", group.name,
          group.name, kState);
  const Json state = parsed(*found);
  const std::string type = hf::config_text(&state, "quant_type");
  require(type == "nf4" || type == "fp4", ErrorCode::unsupported,
          "{}: its quant_type is \"{}\"; read are nf4 and fp4: quantize the model to one of these", found->name, type);
  layout.table = type == "nf4" ? CodeTable::nf4 : CodeTable::fp4;
  const auto shape = state.find("shape");
  require(shape != state.end() && shape->is_array() && shape->size() == 2 && (*shape)[0].is_number_integer() &&
              (*shape)[1].is_number_integer(),
          ErrorCode::corrupt, "{}: no \"shape\" of two numbers", found->name);
  out = (*shape)[0].get<int64_t>(), in = (*shape)[1].get<int64_t>();
  block = hf::config_number(&state, "blocksize", 0);
  require(out > 0 && in > 0 && out <= INT32_MAX && in <= INT32_MAX && block > 0, ErrorCode::corrupt,
          "{}: a shape [{}, {}] in blocks of {} is none", found->name, out, in, block);
  hf::check_type(*weight, holds_codes(weight->type), kKind);
  hf::check_bytes(*weight);
  const int64_t n = out * in, blocks = ceil_div(n, block);
  require(int64_t(weight->bytes.size()) == ceil_div(n, 2), ErrorCode::corrupt,
          "{} has {} bytes, but {} x {} codes of 4 bits take {}", weight->name, weight->bytes.size(), out, in, ceil_div(n, 2));
  const bool nested = absmax->type == TensorType::u8;
  hf::check_type(*absmax, nested || absmax->type == TensorType::f32, kKind);
  hf::check_shape(group, *absmax, {blocks}, ": one for each block");
  if (const RawTensor* map = group.part("weight.quant_map")) {
    hf::check_type(*map, map->type == TensorType::f32, kKind);
    hf::check_shape(group, *map, {16}, ": a table");
    for (int i = 0; i < 16; ++i)
      require(std::fabs(hf::number(*map, i) - table_numbers(layout.table)[i]) < 1e-6f, ErrorCode::unsupported,
              "{}: element {} is {}, but in {} it is {}; a table of its own is not read", map->name, i, hf::number(*map, i), type,
              table_numbers(layout.table)[i]);
  }
  if (nested) {
    nested_absmax = &hf::part_of(group, "weight.nested_absmax", "nested bitsandbytes");
    nested_map = &hf::part_of(group, "weight.nested_quant_map", "nested bitsandbytes");
    hf::check_type(*nested_absmax, nested_absmax->type == TensorType::f32, kKind);
    hf::check_type(*nested_map, nested_map->type == TensorType::f32, kKind);
    nested_block = hf::config_number(&state, "nested_blocksize", kNestedBlock);
    require(nested_block > 0, ErrorCode::corrupt, "{}: \"nested_blocksize\" is {}", found->name, nested_block);
    hf::check_shape(group, *nested_absmax, {ceil_div(blocks, nested_block)}, ": one for each block of blocks");
    hf::check_shape(group, *nested_map, {256}, ": a table");
    const auto offset = state.find("nested_offset");
    require(offset != state.end() && offset->is_number(), ErrorCode::corrupt, "{}: no number \"nested_offset\"", found->name);
    nested_offset = offset->get<float>();
  }
  run = std::gcd(block, in);
}

bool claims(const TensorGroup& group) {
  const RawTensor* weight = group.part("weight");
  return quant_state(group) != nullptr ||
         (group.part("weight.absmax") != nullptr && weight != nullptr && holds_codes(weight->type));
}

std::vector<FilePart> encode(const MadeMatrix& made) {
  const int64_t n = made.rows * made.columns, size = made.layout.block;
  const std::string type(made.format.name);
  file_parts::Parts parts(made);
  parts.add("weight", TensorType::u8, {n / 2, 1}, [&](std::byte* to) {
    const auto& codes = made.groups->codes;
    for (int64_t i = 0; i < n; i += 2) to[i / 2] = std::byte(codes[size_t(i)] << 4 | codes[size_t(i + 1)]);
  });
  parts.add("weight.absmax", TensorType::f32, {n / size}, [&](std::byte* to) {
    for (int64_t i = 0; i < n / size; ++i) file_parts::store_f32(to, i, made.top(0, i));
  });
  parts.constant<float>("weight.quant_map", TensorType::f32, {16}, {table_numbers(made.layout.table), 16});
  const Json state{{"quant_type", type}, {"blocksize", size}, {"dtype", "bfloat16"}, {"shape", {made.rows, made.columns}}};
  parts.text(std::string(kState) + type, state.dump());
  return parts.take();
}

Json file_config(const Format& made, std::span<const FileModule> others) {
  return {{"quantization_config",
           {{"quant_method", "bitsandbytes"},
            {"load_in_4bit", true},
            {"load_in_8bit", false},
            {"bnb_4bit_quant_type", made.name},
            {"bnb_4bit_use_double_quant", false},
            {"bnb_4bit_compute_dtype", "bfloat16"},
            {"bnb_4bit_quant_storage", "uint8"},
            {"llm_int8_skip_modules", file_parts::names_of(others)}}}};
}

constexpr Format with_files() {
  Format out = grouped::format<Bnb4>("bitsandbytes", claims);
  out.encode = encode, out.file_config = file_config;
  return out;
}

}  // namespace

extern const Format format_bitsandbytes;
const Format format_bitsandbytes = with_files();

}  // namespace gale
