#include "checkpoint/tensor_type.h"

#include <iterator>

#include "base/checked.h"

namespace gale {
namespace {

using enum TensorType;

// Block sizes and bytes are those of ggml-common.h; q8_1 is ggml's own 36 bytes (d, s as f16, 32 codes).
constexpr TensorTypeInfo kTypes[] = {
    // clang-format off
    {f32,     "f32",     "F32",      0,  1, 4}, {f16,     "f16",     "F16",      1,  1, 2}, {bf16,    "bf16",    "BF16", 30, 1, 2},
    {f64,     "f64",     "F64",     28,  1, 8}, {i8,      "i8",      "I8",      24,  1, 1}, {i16,     "i16",     "I16",  25, 1, 2},
    {i32,     "i32",     "I32",     26,  1, 4}, {i64,     "i64",     "I64",     27,  1, 8}, {u8,      "u8",      "U8",   -1, 1, 1},
    {u16,     "u16",     "U16",     -1,  1, 2}, {u32,     "u32",     "U32",     -1,  1, 4}, {u64,     "u64",     "U64",  -1, 1, 8},
    {boolean, "bool",    "BOOL",    -1,  1, 1}, {f8_e4m3, "f8_e4m3", "F8_E4M3", -1,  1, 1},
    {f8_e5m2, "f8_e5m2", "F8_E5M2", -1,  1, 1}, {f8_e8m0, "f8_e8m0", "F8_E8M0", -1,  1, 1},
    {q4_0,    "q4_0",    "",  2,  32,  18}, {q4_1,    "q4_1",    "",  3,  32,  20}, {q5_0,   "q5_0",   "",  6,  32,  22},
    {q5_1,    "q5_1",    "",  7,  32,  24}, {q8_0,    "q8_0",    "",  8,  32,  34}, {q8_1,   "q8_1",   "",  9,  32,  36},
    {q2_k,    "q2_k",    "", 10, 256,  84}, {q3_k,    "q3_k",    "", 11, 256, 110}, {q4_k,   "q4_k",   "", 12, 256, 144},
    {q5_k,    "q5_k",    "", 13, 256, 176}, {q6_k,    "q6_k",    "", 14, 256, 210}, {q8_k,   "q8_k",   "", 15, 256, 292},
    {iq1_s,   "iq1_s",   "", 19, 256,  50}, {iq1_m,   "iq1_m",   "", 29, 256,  56}, {iq2_xxs, "iq2_xxs", "", 16, 256, 66},
    {iq2_xs,  "iq2_xs",  "", 17, 256,  74}, {iq2_s,   "iq2_s",   "", 22, 256,  82}, {iq3_xxs, "iq3_xxs", "", 18, 256, 98},
    {iq3_s,   "iq3_s",   "", 21, 256, 110}, {iq4_nl,  "iq4_nl",  "", 20,  32,  18}, {iq4_xs, "iq4_xs", "", 23, 256, 136},
    {tq1_0,   "tq1_0",   "", 34, 256,  54}, {tq2_0,   "tq2_0",   "", 35, 256,  66}, {mxfp4,  "mxfp4",  "", 39,  32,  17},
    {nvfp4,   "nvfp4",   "", 40,  64,  36}, {q1_0,    "q1_0",    "", 41, 128,  18}, {q2_0,   "q2_0",   "", 42,  64,  18},
    {fp8, "fp8", "", -1, 32, 36}, {fp8_block, "fp8_block", "", -1, 32, 36}, {int8, "int8", "", -1, 32, 36},
    {nf4, "nf4", "", -1, 64, 36}, {fp4, "fp4", "", -1, 64, 36}, {afq2, "afq2", "", -1, 64, 20},
    {afq3, "afq3", "", -1, 64, 28}, {afq4, "afq4", "", -1, 64, 36}, {afq5, "afq5", "", -1, 64, 44},
    {afq6, "afq6", "", -1, 64, 52}, {afq8, "afq8", "", -1, 64, 68}, {hqq1, "hqq1", "", -1, 64, 12},
    {hqq2, "hqq2", "", -1, 64, 20}, {hqq3, "hqq3", "", -1, 64, 28}, {hqq4, "hqq4", "", -1, 64, 36},
    {hqq8, "hqq8", "", -1, 64, 68}, {f8q8, "f8q8", "", -1, 32, 33}, {gptq2, "gptq2", "", -1, 128, 34},
    {gptq3, "gptq3", "", -1, 128, 50}, {gptq4, "gptq4", "", -1, 128, 66}, {gptq8, "gptq8", "", -1, 128, 130},
    // clang-format on
};

constexpr bool in_enum_order() {
  for (size_t i = 0; i < std::size(kTypes); ++i)
    if (size_t(kTypes[i].type) != i) return false;
  return std::size(kTypes) == size_t(gptq8) + 1;
}
static_assert(in_enum_order());

}  // namespace

const TensorTypeInfo& tensor_type_info(TensorType type) { return kTypes[size_t(type)]; }

std::span<const TensorTypeInfo> tensor_types() { return kTypes; }

const TensorTypeInfo* find_ggml_type(uint32_t id) {
  for (const TensorTypeInfo& info : kTypes)
    if (info.ggml >= 0 && uint32_t(info.ggml) == id) return &info;
  return nullptr;
}

const TensorTypeInfo* find_safetensors_type(std::string_view dtype) {
  if (dtype.empty()) return nullptr;
  for (const TensorTypeInfo& info : kTypes)
    if (info.safetensors == dtype) return &info;
  return nullptr;
}

int64_t row_bytes(TensorType type, int64_t columns, std::string_view where) {
  const TensorTypeInfo& info = tensor_type_info(type);
  require(columns >= 0 && columns % info.block == 0, ErrorCode::corrupt,
          "{}: rows of {} elements cannot be {}, whose blocks hold {}; the file is damaged or was written by a faulty converter",
          where, columns, info.name, info.block);
  return checked_mul(columns / info.block, info.bytes, where);
}

}  // namespace gale
