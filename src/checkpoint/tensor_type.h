#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace gale {

/// How a file stores the elements of a tensor: GGUF's types, safetensors' dtypes and the blocks of formats that Gale makes for
/// itself (quant/made_blocks.h: in memory and packed files only) under one list. Every type is parsed and sized; which of them
/// Gale can compute with is quant/'s business.
enum class TensorType : uint8_t {
  // clang-format off
  f32, f16, bf16, f64, i8, i16, i32, i64, u8, u16, u32, u64, boolean, f8_e4m3, f8_e5m2, f8_e8m0,
  q4_0, q4_1, q5_0, q5_1, q8_0, q8_1, q2_k, q3_k, q4_k, q5_k, q6_k, q8_k,
  iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s, iq4_nl, iq4_xs, tq1_0, tq2_0, mxfp4, nvfp4, q1_0, q2_0,
  fp8, fp8_block, int8, nf4, fp4, afq2, afq3, afq4, afq5, afq6, afq8, hqq1, hqq2, hqq3, hqq4, hqq8,
  f8q8, gptq2, gptq3, gptq4, gptq8,
  // clang-format on
};

struct TensorTypeInfo {
  TensorType type;
  std::string_view name;         ///< Gale's name: "q4_k"
  std::string_view safetensors;  ///< "BF16", "" where safetensors has no such dtype
  int32_t ggml;                  ///< id in GGUF files, -1 where GGUF has none
  int32_t block;                 ///< elements a block holds along a row; 1 for plain types
  int32_t bytes;                 ///< bytes of a block
};

const TensorTypeInfo& tensor_type_info(TensorType type);
std::span<const TensorTypeInfo> tensor_types();
/// nullptr where unknown.
const TensorTypeInfo* find_ggml_type(uint32_t id);
const TensorTypeInfo* find_safetensors_type(std::string_view dtype);

/// Bytes of a row of `columns` elements. Throws Error{corrupt} where columns is not a whole number of blocks or overflows;
/// `where` names the tensor.
int64_t row_bytes(TensorType type, int64_t columns, std::string_view where);

}  // namespace gale
