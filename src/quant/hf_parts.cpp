#include "quant/hf_parts.h"

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "quant/file_parts.h"

namespace gale::hf {
namespace {

const Json* entry(const Json* config, const char* key) {
  if (config == nullptr || !config->is_object()) return nullptr;
  const auto found = config->find(key);
  return found == config->end() ? nullptr : &*found;
}

}  // namespace

int64_t config_number(const Json* config, const char* key, int64_t fallback) {
  const Json* found = entry(config, key);
  return found != nullptr && found->is_number_integer() ? found->get<int64_t>() : fallback;
}
std::string config_text(const Json* config, const char* key) {
  const Json* found = entry(config, key);
  return found != nullptr && found->is_string() ? found->get<std::string>() : "";
}
bool config_flag(const Json* config, const char* key) {
  const Json* found = entry(config, key);
  return found != nullptr && found->is_boolean() && found->get<bool>();
}
std::string quant_method(const TensorGroup& group) { return config_text(group.quantization_config, "quant_method"); }

const RawTensor& part_of(const TensorGroup& group, std::string_view suffix, std::string_view kind) {
  const RawTensor* part = group.part(suffix);
  require(part != nullptr, ErrorCode::corrupt, "{}: no tensor \"{}.{}\", which {} weights have", group.name, group.name, suffix,
          kind);
  return *part;
}

void check_type(const RawTensor& part, bool right_type, std::string_view kind) {
  require(right_type, ErrorCode::corrupt, "{}: a {} weight cannot have a part of type {}", part.name, kind,
          tensor_type_info(part.type).name);
}

void check_shape(const TensorGroup& group, const RawTensor& part, const Shape& shape, std::string_view why) {
  check_woven_shape(group, part, shape, why);
  check_bytes(part);
}

void check_woven_shape(const TensorGroup& group, const RawTensor& part, const Shape& shape, std::string_view why) {
  require(part.shape == shape, ErrorCode::corrupt, "{} is {}, but {} needs {}{}", part.name, part.shape.text(), group.name,
          shape.text(), why);
  if (!part.woven()) check_bytes(part);
}

void check_bytes(const RawTensor& part) {
  require(!part.woven(), ErrorCode::unsupported, "{} lies woven with another tensor, which its format is not read in", part.name);
  const int64_t needed = row_bytes(part.type, part.elements(), part.name);
  require(int64_t(part.bytes.size()) == needed, ErrorCode::corrupt, "{} has {} bytes, its shape {} takes {}; {} is damaged",
          part.name, part.bytes.size(), part.shape.text(), needed, file_of(part));
}

void check_parts(const TensorGroup& group, std::initializer_list<std::string_view> known, std::string_view kind) {
  constexpr std::string_view kOfActivations[] = {"input_scale",  "input_scale_inv",  "input_zero_point", "input_global_scale",
                                                 "output_scale", "activation_scale", "q_scale",          "k_scale",
                                                 "v_scale"};
  for (const auto& [suffix, part] : group.parts)
    require(
        std::ranges::count(known, suffix) > 0 || std::ranges::count(kOfActivations, suffix) > 0, ErrorCode::unsupported,
        "{} is not known beside a weight in {}, and may change its values; a checkpoint in {} or in GGUF without it can be run",
        part->name, kind, kind);
}

int64_t mlx_words_per_scale(const TensorGroup& group) {
  const RawTensor *weight = group.part("weight"), *scales = group.part("scales");
  if (weight == nullptr || scales == nullptr || weight->type != TensorType::u32 || scales->type != TensorType::u8) return 0;
  const int64_t words = weight->columns(), n = scales->columns();
  return n > 0 && words % n == 0 ? words / n : 4;  // what is none of the three is said to be wrong as MXFP4
}

bool is_float(TensorType type) { return type == TensorType::f16 || type == TensorType::bf16 || type == TensorType::f32; }
bool is_byte(TensorType type) { return type == TensorType::u8 || type == TensorType::i8; }

float number(const RawTensor& tensor, int64_t i) {
  switch (tensor.type) {
    case TensorType::f16:
      return f16_to_f32(element<uint16_t>(tensor, i));
    case TensorType::bf16:
      return bf16_to_f32(element<uint16_t>(tensor, i));
    case TensorType::f8_e4m3:
    case TensorType::f8_e5m2: {
      const bool e4m3 = tensor.type == TensorType::f8_e4m3;
      const auto code = element<uint8_t>(tensor, i);
      const bool none = e4m3 ? (code & 0x7f) == 0x7f : (code & 0x7c) == 0x7c;
      return none ? NAN : table_numbers(e4m3 ? CodeTable::e4m3 : CodeTable::e5m2)[code];
    }
    case TensorType::f8_e8m0: {
      const auto code = element<uint8_t>(tensor, i);
      return code == 255 ? NAN : std::ldexp(1.0f, int(code) - 127);
    }
    case TensorType::u8:
      return float(element<uint8_t>(tensor, i));
    case TensorType::i8:
      return float(element<int8_t>(tensor, i));
    default:
      return element<float>(tensor, i);
  }
}

float finite_number(const RawTensor& tensor, int64_t i) {
  const float value = number(tensor, i);
  require(std::isfinite(value), ErrorCode::corrupt, "{}: element {} is not a finite number; {} is damaged", tensor.name, i,
          file_of(tensor));
  return value;
}

ScaleType scale_type(const RawTensor& tensor) {
  return tensor.type == TensorType::f16 ? ScaleType::f16 : tensor.type == TensorType::bf16 ? ScaleType::bf16 : ScaleType::f32;
}

void unpack_bits(const std::byte* from, int bits, int64_t first, int64_t n, uint8_t* to) {
  const int mask = (1 << bits) - 1;
  for (int64_t i = 0, bit = first * bits; i < n; ++i, bit += bits) {
    const int64_t byte = bit / 8, shift = bit % 8;
    int both = int(from[byte]);
    if (shift + bits > 8) both |= int(from[byte + 1]) << 8;
    to[i] = uint8_t(both >> shift & mask);
  }
}

Layout with_zeros(int bits, ScaleType scales) {
  const bool integers = bits == 4 && scales == ScaleType::f16;  // the layout made for it
  return {.kind = Layout::Kind::grouped, .bits = uint8_t(bits), .top = scales, .zeros = integers, .real_zeros = !integers};
}

Layout without_zeros(int bits, ScaleType scales) {
  return {.kind = Layout::Kind::grouped, .bits = uint8_t(bits), .top = scales, .bias = uint8_t(1 << (bits - 1))};
}

}  // namespace gale::hf

namespace gale::file_parts {

Json names_of(std::span<const FileModule> others) {
  Json out = Json::array();
  for (const FileModule& module : others) out.push_back(module.name);
  return out;
}

}  // namespace gale::file_parts
