#include "checkpoint/tensor_type.h"

#include <gmock/gmock.h>

#include <set>

#include "checkpoint/checkpoint.h"
#include "checkpoint/test_files.h"

namespace gale {
namespace {

TEST(TensorType, IdsAndNamesAreUnique) {
  std::set<int32_t> ids;
  std::set<std::string_view> names, dtypes;
  for (const TensorTypeInfo& info : tensor_types()) {
    EXPECT_EQ(&tensor_type_info(info.type), &info);
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    if (info.ggml >= 0) {
      EXPECT_TRUE(ids.insert(info.ggml).second) << info.name;
      EXPECT_EQ(find_ggml_type(uint32_t(info.ggml)), &info);
    }
    if (!info.safetensors.empty()) {
      EXPECT_TRUE(dtypes.insert(info.safetensors).second) << info.name;
      EXPECT_EQ(find_safetensors_type(info.safetensors), &info);
    }
  }
}

// Sizes written out from the structs of ggml-common.h.
TEST(TensorType, BlockSizes) {
  const auto bytes = [](uint32_t id) { return find_ggml_type(id)->bytes; };
  EXPECT_EQ(bytes(2), 2 + 16);                       // q4_0: d, 32 nibbles
  EXPECT_EQ(bytes(7), 2 + 2 + 4 + 16);               // q5_1: d, m, high bits, nibbles
  EXPECT_EQ(bytes(10), 256 / 16 + 256 / 4 + 2 + 2);  // q2_k
  EXPECT_EQ(bytes(11), 256 / 8 + 256 / 4 + 12 + 2);  // q3_k
  EXPECT_EQ(bytes(12), 2 + 2 + 12 + 256 / 2);        // q4_k
  EXPECT_EQ(bytes(13), 2 + 2 + 12 + 256 / 8 + 128);  // q5_k
  EXPECT_EQ(bytes(14), 128 + 64 + 16 + 2);           // q6_k
  EXPECT_EQ(bytes(39), 1 + 16);                      // mxfp4
  EXPECT_EQ(bytes(40), 4 + 32);                      // nvfp4
  EXPECT_EQ(find_ggml_type(4), nullptr);             // q4_2, removed in 2023
  EXPECT_EQ(find_ggml_type(0xffffffffu), nullptr);
  EXPECT_EQ(find_safetensors_type(""), nullptr);
}

TEST(TensorType, RowBytes) {
  EXPECT_EQ(row_bytes(TensorType::q4_k, 512, "t"), 288);
  EXPECT_EQ(row_bytes(TensorType::bf16, 7, "t"), 14);
  test::expect_error(ErrorCode::corrupt, "t: rows of 100", [] { row_bytes(TensorType::q4_k, 100, "t"); });
  test::expect_error(ErrorCode::corrupt, "overflows", [] { row_bytes(TensorType::f64, INT64_MAX, "t"); });
}

// transformers' permute (convert_llama_weights_to_hf.py), written out as reshapes: from interleaved rows to halves.
TEST(RawTensor, RowUndoesInterleave) {
  constexpr int heads = 3, width = 8, rows = heads * width, half = width / 2;
  std::vector<float> file(rows * 2);
  for (int r = 0; r < rows; ++r) file[size_t(r) * 2] = float(r), file[size_t(r) * 2 + 1] = -float(r);
  RawTensor t;
  t.type = TensorType::f32;
  t.shape = {rows, 2};
  t.bytes = std::as_bytes(std::span(file));
  t.interleaved_heads = heads;
  // w.view(heads, half, 2, dim).transpose(1, 2).reshape(rows, dim)
  int64_t i = 0;
  for (int h = 0; h < heads; ++h)
    for (int j = 0; j < 2; ++j)
      for (int k = 0; k < half; ++k, ++i) {
        float value[2];
        std::memcpy(value, t.row(i), sizeof(value));
        EXPECT_EQ(value[0], float((h * half + k) * 2 + j)) << i;
        EXPECT_EQ(value[1], -value[0]);
      }
  t.interleaved_heads = 0;
  EXPECT_EQ(t.row(5), t.bytes.data() + 5 * 8);
}

TEST(RawTensor, EmptyAndScalar) {
  RawTensor t;
  EXPECT_EQ(t.rows(), 1);
  t.shape = {0, 4};
  EXPECT_EQ(t.rows(), 0);
  EXPECT_EQ(t.row_stride(), 0);
  t.shape = {4, 0};
  EXPECT_EQ(t.rows(), 0);
}

}  // namespace
}  // namespace gale
