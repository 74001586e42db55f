#pragma once
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/fail.h"
#include "base/half.h"
#include "base/json_fwd.h"
#include "quant/format.h"

/// What the formats of safetensors checkpoints share, whose weights are several tensors each and are described by
/// "quantization_config" in config.json.
namespace gale::hf {

/// Entries of the config, a default where they are not there or of another kind.
int64_t config_number(const Json* config, const char* key, int64_t fallback);
std::string config_text(const Json* config, const char* key);
bool config_flag(const Json* config, const char* key);
/// "quant_method" of the group's config; "" where there is none.
std::string quant_method(const TensorGroup& group);

/// A part the format cannot do without. Throws Error{corrupt} naming it; `kind`: "GPTQ".
const RawTensor& part_of(const TensorGroup& group, std::string_view suffix, std::string_view kind);
/// Throws Error{corrupt} where the part has not that type or shape, or lacks bytes.
void check_type(const RawTensor& part, bool right_type, std::string_view kind);
void check_shape(const TensorGroup& group, const RawTensor& part, const Shape& shape, std::string_view why);
void check_bytes(const RawTensor& part);
/// check_shape for a part that may be woven (RawTensor), whose bytes were checked where it was taken out.
void check_woven_shape(const TensorGroup& group, const RawTensor& part, const Shape& shape, std::string_view why);

/// Throws Error{unsupported} where the group has a part that is none of `known`, nor a scale of activations, which are rounded
/// here in a finer way: what a format does not know may change the weights.
void check_parts(const TensorGroup& group, std::initializer_list<std::string_view> known, std::string_view kind);

/// Where a weight is MLX's of a mode without biases, u32 words and scales of a byte, the words of a row for each scale: 4 in
/// mode "mxfp4", 2 in "nvfp4", 8 in "mxfp8". 0: it is no such weight.
int64_t mlx_words_per_scale(const TensorGroup& group);

bool is_float(TensorType type);  ///< f16, bf16, f32
bool is_byte(TensorType type);   ///< u8, i8

template <class T>
inline T element(const RawTensor& tensor, int64_t i) {
  T value;
  std::memcpy(&value, tensor.bytes.data() + i * int64_t(sizeof value), sizeof value);
  return value;
}
/// Element `i` of a tensor of f32, f16, bf16, e4m3, e5m2, e8m0 (2^(byte - 127)) or 8-bit integers.
float number(const RawTensor& tensor, int64_t i);
/// The same, finite. Throws Error{corrupt} naming the element.
float finite_number(const RawTensor& tensor, int64_t i);
/// What a layout keeps numbers of that tensor in, exactly.
ScaleType scale_type(const RawTensor& tensor);

/// Codes [first, first + n) of `bits` each, one after another from the lowest bit of `from` on, over the borders of bytes and
/// words.
void unpack_bits(const std::byte* from, int bits, int64_t first, int64_t n, uint8_t* to);
/// The bytes of `n` such codes, whole words of 4.
inline int64_t packed_words(int64_t n, int bits) { return (n * bits + 31) / 32; }

/// A layout of codes under zeros from 0 to 2^bits; group and block are for the caller.
Layout with_zeros(int bits, ScaleType scales);
/// One of codes that stand for half of their range less.
Layout without_zeros(int bits, ScaleType scales);

}  // namespace gale::hf
