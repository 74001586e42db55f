#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <set>

#include "base/rng.h"
#include "gale/error.h"
#include "quant/test_hf_weights.h"

// Every format of safetensors checkpoints: against values of another implementation, through the kernels' layouts, and with
// everything wrong that can be.
namespace gale {
namespace {

using quant_test::dequantized;
using quant_test::hash_of;
using quant_test::hf_vector;
using quant_test::hf_vectors;
using quant_test::HfGroup;
using quant_test::HfVector;
using quant_test::HfWeight;
using quant_test::pack;
using quant_test::unpacked;
using ::testing::HasSubstr;

/// Index of the first value with other bits, -1 where there is none.
int64_t first_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return int64_t(std::min(a.size(), b.size()));
  for (size_t i = 0; i < a.size(); ++i)
    if (std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i])) return int64_t(i);
  return -1;
}

TEST(HfFormats, KnownAnswersOfAnotherImplementation) {
  std::set<std::string> formats;
  for (const HfVector& v : hf_vectors()) {
    SCOPED_TRACE(v.name);
    const HfGroup weight(v.weight);
    const Format& format = format_of(weight.group);
    EXPECT_EQ(format.name, v.format);
    EXPECT_EQ(format.shape(weight.group), std::pair(v.out, v.in));
    std::vector<float> values = dequantized(format, weight.group);
    EXPECT_EQ(hash_of(values), v.hash);
    values.resize(v.first.size());
    EXPECT_EQ(first_difference(values, v.first), -1);
    formats.insert(v.format);
  }
  EXPECT_EQ(hf_vectors().size(), 71u);
  for (const Format* format : gale::formats())
    if (format->name != tensor_type_info(format->stored).name)
      EXPECT_TRUE(formats.contains(std::string(format->name))) << format->name << " has no vector";
}

TEST(HfFormats, PackedRowsAreTheDequantizedOnes) {
  for (const HfVector& v : hf_vectors()) {
    SCOPED_TRACE(v.name);
    const HfGroup weight(v.weight);
    const Format& format = format_of(weight.group);
    EXPECT_EQ(format.layout(weight.group).name(), v.layout);
    EXPECT_EQ(first_difference(unpacked(pack(format, weight.group)), dequantized(format, weight.group)), -1);
  }
}

TEST(HfFormats, SlicesAreCutsOfTheWhole) {
  for (const HfVector& v : hf_vectors()) {
    SCOPED_TRACE(v.name);
    const HfGroup weight(v.weight);
    const Format& format = format_of(weight.group);
    const std::vector<float> whole = dequantized(format, weight.group);
    const Slice2 slice{v.out / 3, v.out - v.out / 3, v.in / 5, v.in / 2};
    std::vector<float> part(size_t(slice.rows * slice.columns));
    format.dequantize(weight.group, slice, part.data());
    for (int64_t r = 0; r < slice.rows; ++r)
      for (int64_t c = 0; c < slice.columns; ++c)
        ASSERT_EQ(std::bit_cast<uint32_t>(part[size_t(r * slice.columns + c)]),
                  std::bit_cast<uint32_t>(whole[size_t((r + slice.row) * v.in + c + slice.column)]));
    LogicalGroups groups;
    for (const Slice2& wrong : {Slice2{0, v.out + 1, 0, v.in}, {-1, 1, 0, v.in}, {0, 1, v.in, v.in}})
      EXPECT_THROW(format.groups(weight.group, wrong, groups), Error);
  }
}

/// `part` is the columns from `column` on of the rows from `row` on of `whole`, `per` columns to an entry.
template <class T>
bool is_cut(const std::vector<T>& part, const std::vector<T>& whole, const Slice2& slice, int64_t in, int64_t per) {
  if (part.empty() != whole.empty()) return false;
  const int64_t n = slice.columns / per,
                rows = int64_t(part.size()) / n;  // of numbers that repeat from row to row only the first
  for (int64_t r = 0; r < rows; ++r)
    if (!std::equal(part.begin() + r * n, part.begin() + (r + 1) * n,
                    whole.begin() + ((slice.row + r) * in + slice.column) / per))
      return false;
  return true;
}

TEST(HfFormats, GroupsOfSlicesAreCutsOfThoseOfTheWhole) {
  std::set<std::string> cut;
  for (const HfVector& v : hf_vectors()) {
    SCOPED_TRACE(v.name);
    const HfGroup weight(v.weight);
    const Format& format = format_of(weight.group);
    const Layout layout = format.layout(weight.group);
    const int64_t block = layout.columns_multiple(), group = std::max<int64_t>(layout.group, 1);
    const int64_t per = layout.kind == Layout::Kind::down ? 1 : block;  // columns of a scale
    if (v.in < 2 * block) continue;
    cut.insert(v.format);
    LogicalGroups whole, part;
    const Slice2 slice{1, v.out - 1, block, v.in - block};
    format.groups(weight.group, {0, v.out, 0, v.in}, whole);
    format.groups(weight.group, slice, part);
    EXPECT_TRUE(is_cut(part.codes, whole.codes, slice, v.in, 1));
    EXPECT_TRUE(is_cut(part.values, whole.values, slice, v.in, 1));
    EXPECT_TRUE(is_cut(part.top, whole.top, slice, v.in, per));
    EXPECT_TRUE(is_cut(part.top_min, whole.top_min, slice, v.in, per));
    EXPECT_TRUE(is_cut(part.zero, whole.zero, slice, v.in, per));
    EXPECT_TRUE(is_cut(part.sub, whole.sub, slice, v.in, group));
  }
  EXPECT_GE(cut.size(), 10u);
}

// Any bytes in any part of any shape: an error, or values; never a read outside of them (under ASan).
TEST(HfFormats, RandomDamageIsRefusedOrRead) {
  SplitMix64 random{23};
  int refused = 0, read = 0;
  for (const HfVector& v : hf_vectors())
    for (int round = 0; round < 60; ++round) {
      HfWeight damaged = v.weight;
      auto at = damaged.parts.begin();
      std::advance(at, long(random() % damaged.parts.size()));
      auto& part = at->second;
      switch (random() % 4) {
        case 0:
          part.shape = {int64_t(random() % 40), int64_t(random() % 40)};
          break;
        case 1:
          part.bytes.resize(random() % (part.bytes.size() + 1));
          break;
        case 2:
          damaged.parts.erase(at);
          break;
        default:
          for (uint64_t i = 1 + random() % 4; i > 0 && !part.bytes.empty(); --i)
            part.bytes[random() % part.bytes.size()] = std::byte(random() & 0xff);
      }
      const HfGroup weight(damaged);
      try {
        const Format& format = format_of(weight.group);
        unpacked(pack(format, weight.group));
        dequantized(format, weight.group);
        ++read;
      } catch (const Error& e) {
        EXPECT_THAT(e.what(), HasSubstr("model.layers.0.mlp.up_proj")) << v.name;
        ++refused;
      }
    }
  EXPECT_GT(refused, 100);
  EXPECT_GT(read, 50);
}

// One thing wrong at a time.
struct Damage {
  const char* what;
  const char* vector;
  ErrorCode code;
  std::function<void(HfWeight&)> damage;
  const char* says;
};

const Damage kDamages[] = {
    {"FP8 scales of the wrong blocks", "fp8_block", ErrorCode::corrupt,
     [](HfWeight& w) { w.part("weight_scale_inv").shape = {1, 2}; }, "blocks of 128 x 128"},
    {"FP8 blocks of another size", "fp8_block", ErrorCode::corrupt, [](HfWeight& w) { w.config["weight_block_size"] = {64, 64}; },
     "blocks of 64 x 64"},
    {"FP8 scales cut short", "fp8_channel", ErrorCode::corrupt, [](HfWeight& w) { w.part("weight_scale").bytes.resize(7); },
     "has 7 bytes"},
    {"FP8 NaN", "fp8_tensor", ErrorCode::corrupt, [](HfWeight& w) { w.part("weight").bytes[70] = std::byte(0xff); },
     "row 1, column 6 is no finite number (byte 0xff)"},
    {"FP8 infinite scale", "fp8_tensor", ErrorCode::corrupt,
     [](HfWeight& w) { std::fill_n(w.part("weight_scale").bytes.begin(), 4, std::byte(0xff)); }, "not a finite number"},
    {"FP8 without a scale", "fp8_tensor", ErrorCode::corrupt, [](HfWeight& w) { w.parts.erase("weight_scale"); },
     "up_proj.weight: neither \"model.layers.0.mlp.up_proj.weight_scale\" nor"},
    {"FP8 without scales of blocks", "fp8_block", ErrorCode::corrupt, [](HfWeight& w) { w.parts.erase("weight_scale_inv"); },
     "nor \"model.layers.0.mlp.up_proj.weight_scale_inv\" is there"},
    {"FP8 integer scales", "fp8_tensor", ErrorCode::corrupt, [](HfWeight& w) { w.part("weight_scale").type = TensorType::i32; },
     "type i32"},

    {"AWQ version", "awq_gemm", ErrorCode::unsupported, [](HfWeight& w) { w.config["version"] = "gemv_fast"; }, "gemv_fast"},
    {"AWQ bits", "awq_gemm", ErrorCode::unsupported, [](HfWeight& w) { w.config["bits"] = 3; }, "3 bits"},
    {"AWQ group size", "awq_gemm", ErrorCode::corrupt, [](HfWeight& w) { w.config["group_size"] = 64; }, "needs [2, 24]"},
    {"AWQ zeros lacking", "awq_gemm", ErrorCode::corrupt, [](HfWeight& w) { w.parts.erase("qzeros"); }, "qzeros"},
    {"AWQ scales truncated", "awq_gemv", ErrorCode::corrupt, [](HfWeight& w) { w.part("scales").bytes.resize(9); }, "9 bytes"},
    {"AWQ infinite scale", "awq_gemm", ErrorCode::corrupt,
     [](HfWeight& w) { std::fill_n(w.part("scales").bytes.begin(), 2, std::byte(0xff)); }, "not a finite number"},

    {"CT bits", "ct_int4", ErrorCode::unsupported,
     [](HfWeight& w) { w.config["config_groups"]["group_0"]["weights"]["num_bits"] = 3; }, "3 bits"},
    {"CT transforms", "ct_w8a8", ErrorCode::unsupported,
     [](HfWeight& w) { w.config["transform_config"]["config_groups"]["R1"] = {{"type", "hadamard"}}; }, "\"transform_config\""},
    {"CT shape", "ct_int4", ErrorCode::corrupt, [](HfWeight& w) { w.part("weight_shape").bytes[9] = std::byte(2); },
     "weight_shape says"},
    {"CT shape of no model", "ct_int4", ErrorCode::corrupt,
     [](HfWeight& w) { w.part("weight_shape").bytes[15] = std::byte(0x20); }, "weight_shape says"},
    {"CT groups", "ct_int4", ErrorCode::corrupt, [](HfWeight& w) { w.part("weight_scale").shape = {4, 3}; },
     "as many as divide 256 columns"},
    {"CT zeros truncated", "ct_int4_zeros", ErrorCode::corrupt, [](HfWeight& w) { w.part("weight_zero_point").bytes.resize(5); },
     "5 bytes"},
    {"CT zeros of another shape", "ct_int8_zeros", ErrorCode::corrupt,
     [](HfWeight& w) { w.part("weight_zero_point").shape = {3, 2}; }, "a zero for each scale"},

    {"bnb table", "bnb_nf4", ErrorCode::unsupported, [](HfWeight& w) { w.part("weight.quant_map").bytes[3] = std::byte(0x3f); },
     "a table of its own"},
    {"bnb state lacking", "bnb_nf4", ErrorCode::corrupt,
     [](HfWeight& w) { w.parts.erase("weight.quant_state.bitsandbytes__nf4"); }, "which says its shape"},
    {"bnb state no JSON", "bnb_nf4", ErrorCode::corrupt,
     [](HfWeight& w) { w.part("weight.quant_state.bitsandbytes__nf4").bytes[0] = std::byte('['); }, "syntax error"},
    {"bnb blocks lacking", "bnb_nf4", ErrorCode::corrupt, [](HfWeight& w) { w.part("weight.absmax").shape = {9}; }, "needs [10]"},
    {"bnb codes lacking", "bnb_nf4", ErrorCode::corrupt,
     [](HfWeight& w) {
       w.part("weight").shape = {100, 1};
       w.part("weight").bytes.resize(100);
     },
     "codes of 4 bits take 320"},
    {"bnb nested table lacking", "bnb_nf4_nested", ErrorCode::corrupt,
     [](HfWeight& w) { w.parts.erase("weight.nested_quant_map"); }, "nested_quant_map"},
    {"bnb int8 arranged", "bnb_int8", ErrorCode::unsupported,
     [](HfWeight& w) { w.part("weight_format").bytes[0] = std::byte(1); }, "arranged for a GPU"},
    {"bnb int8 scales", "bnb_int8", ErrorCode::corrupt, [](HfWeight& w) { w.part("SCB").shape = {17}; }, "needs [18]"},
    {"bnb int8 negative scale", "bnb_int8", ErrorCode::corrupt, [](HfWeight& w) { w.number("SCB", -1); }, "SCB: element 0 is -1"},

    {"HQQ bits", "hqq4", ErrorCode::unsupported, [](HfWeight& w) { w.part("nbits").bytes[0] = std::byte(5); }, "5 bits"},
    {"HQQ axis", "hqq4", ErrorCode::corrupt, [](HfWeight& w) { w.part("axis").bytes[0] = std::byte(2); }, "axis is 2"},
    {"HQQ group size", "hqq4", ErrorCode::corrupt, [](HfWeight& w) { w.part("group_size").bytes[0] = std::byte(60); },
     "no whole groups of 60"},
    {"HQQ scales", "hqq4", ErrorCode::corrupt, [](HfWeight& w) { w.part("scale").shape = {6, 1}; }, "bytes"},
    {"HQQ zeros", "hqq4", ErrorCode::corrupt, [](HfWeight& w) { w.parts.erase("zero"); }, "zero"},
    {"HQQ zeros of another number", "hqq4_zeros", ErrorCode::corrupt,
     [](HfWeight& w) {
       w.part("zero_q").shape = {16, 1}, w.part("zero_q").bytes.resize(16), w.part("meta_zero.shape").bytes[0] = std::byte(16);
     },
     "32 groups of 64"},
    {"HQQ zeros without a scale", "hqq4_zeros", ErrorCode::corrupt, [](HfWeight& w) { w.parts.erase("meta_zero.scale"); },
     "scale"},
    {"HQQ zeros quantized twice", "hqq4_zeros", ErrorCode::corrupt,
     [](HfWeight& w) { w.parts["meta_zero.zero_q"] = w.part("zero_q"); }, "quantized themselves"},
    {"HQQ group size of other codes", "hqq4", ErrorCode::corrupt,
     [](HfWeight& w) { w.part("group_size").bytes[0] = std::byte(32); }, "in groups of 32"},
    {"HQQ group size of other codes, axis 0", "hqq4_axis0", ErrorCode::corrupt,
     [](HfWeight& w) { w.part("group_size").bytes[0] = std::byte(32); }, "in groups of 32"},
    {"HQQ no group size, but groups", "hqq4", ErrorCode::corrupt, [](HfWeight& w) { w.parts.erase("group_size"); },
     "in groups of 128"},
    {"HQQ infinite scale", "hqq4", ErrorCode::corrupt,
     [](HfWeight& w) { w.part("scale").bytes[2] = std::byte(0), w.part("scale").bytes[3] = std::byte(0x7c); },
     "scale: element 1 is not a finite number"},
    {"HQQ zero that is none", "hqq4", ErrorCode::corrupt, [](HfWeight& w) { w.part("zero").bytes[5] = std::byte(0x7e); },
     "zero: element 2 is not a finite number"},
    {"HQQ infinite scale, axis 0", "hqq4_axis0", ErrorCode::corrupt,
     [](HfWeight& w) { w.part("scale").bytes[0] = std::byte(0), w.part("scale").bytes[1] = std::byte(0xfc); },
     "scale: element 0 is not a finite number"},
    {"HQQ zeros under an infinite scale", "hqq4_zeros", ErrorCode::corrupt,
     [](HfWeight& w) { w.part("meta_zero.scale").bytes[1] = std::byte(0x7e); }, "scale: element 0 is not a finite number"},
    {"HQQ scales under a zero that is none", "hqq4_both", ErrorCode::corrupt,
     [](HfWeight& w) { w.part("meta_scale.zero").bytes[1] = std::byte(0x7e); }, "zero: element 0 is not a finite number"},
    {"HQQ scale that overflows", "hqq4_zeros", ErrorCode::corrupt, [](HfWeight& w) { w.number("scale", 3e38f); },
     "can be infinite or none"},
    {"HQQ codes", "hqq3", ErrorCode::corrupt, [](HfWeight& w) { w.part("W_q").shape = {2, 32}; }, "in 3 bits along axis 1"},

    {"AFQ group size", "afq4", ErrorCode::corrupt, [](HfWeight& w) { w.config["group_size"] = 48; },
     "no whole 2, 3, 4, 5, 6 or 8"},
    {"AFQ biases", "afq4", ErrorCode::corrupt, [](HfWeight& w) { w.part("biases").shape = {9, 2}; },
     "one for each output and group"},

    {"MXFP4 scale", "mxfp4_packed", ErrorCode::corrupt, [](HfWeight& w) { w.part("weight_scale").bytes[5] = std::byte(255); },
     "gives no finite values"},
    {"MXFP4 scales", "mxfp4_gpt_oss", ErrorCode::corrupt, [](HfWeight& w) { w.part("scales").shape = {3, 5}; },
     "each 32 columns"},
    {"MXFP8 scale", "mxfp8_mlx", ErrorCode::corrupt, [](HfWeight& w) { w.part("scales").bytes[4] = std::byte(247); },
     "the scale of row 1, column 32 is 2^120"},
    {"MXFP8 NaN", "mxfp8_mlx", ErrorCode::corrupt, [](HfWeight& w) { w.part("weight").bytes[97] = std::byte(0x7f); },
     "row 1, column 1 is no number (byte 0x7f)"},
    {"NVFP4 of MLX, negative scale", "nvfp4_mlx", ErrorCode::corrupt,
     [](HfWeight& w) { w.part("scales").bytes[9] = std::byte(0xb8); }, "row 1, column 16 is negative"},
    {"NVFP4 of MLX, global scale", "nvfp4_mlx_global", ErrorCode::corrupt, [](HfWeight& w) { w.number("global_scale", -1); },
     "a scale of -1 over all"},
    {"MLX of no mode", "mxfp8_mlx", ErrorCode::corrupt,
     [](HfWeight& w) { w.part("scales").shape = {5, 5}, w.part("scales").bytes.resize(25); }, "scales is [5, 5]"},
    {"NVFP4 negative scale", "nvfp4_ct", ErrorCode::corrupt,
     [](HfWeight& w) { w.part("weight_scale").bytes[5] = std::byte(0x81); }, "byte 0x81"},
    {"NVFP4 no global scale", "nvfp4_modelopt", ErrorCode::corrupt, [](HfWeight& w) { w.parts.erase("weight_scale_2"); },
     "weight_scale_2"},
    {"Marlin codes", "gptq_marlin", ErrorCode::corrupt, [](HfWeight& w) { w.part("B").shape = {3, 256}; }, "8 codes to a word"},
    {"Marlin groups", "gptq_marlin", ErrorCode::corrupt, [](HfWeight& w) { w.config["group_size"] = 48; },
     "are 2 groups, but there are"},
    {"GPTQ g_idx outside", "gptq3_f16", ErrorCode::corrupt, [](HfWeight& w) { w.part("g_idx").bytes[0] = std::byte(4); },
     "is in group 4, but there are 4"},
    {"NVFP4 divided by 0", "nvfp4_ct", ErrorCode::corrupt, [](HfWeight& w) { w.number("weight_global_scale", 0); },
     "a scale of 0 over all, which must be above 0"},
    {"NVFP4 divided by less than 0", "nvfp4_ct", ErrorCode::corrupt, [](HfWeight& w) { w.number("weight_global_scale", -1); },
     "a scale of -1 over all, which must be above 0"},
    {"NVFP4 times 0", "nvfp4_modelopt", ErrorCode::corrupt, [](HfWeight& w) { w.number("weight_scale_2", 0); },
     "a scale of 0 over all, which must be above 0"},
    {"NVFP4 times less than 0", "nvfp4_modelopt", ErrorCode::corrupt, [](HfWeight& w) { w.number("weight_scale_2", -1); },
     "a scale of -1 over all, which must be above 0"},
    {"NVFP4 times NaN", "nvfp4_modelopt", ErrorCode::corrupt, [](HfWeight& w) { w.number("weight_scale_2", NAN); },
     "weight_scale_2: element 0 is not a finite number"},
    {"NVFP4 times infinity", "nvfp4_modelopt", ErrorCode::corrupt, [](HfWeight& w) { w.number("weight_scale_2", INFINITY); },
     "weight_scale_2: element 0 is not a finite number"},
};

// What a loader and everything that counts weights sees of a checkpoint: parts, with either spelling of the config.
TEST(HfFormats, PartsOfACheckpointAreFoundFromEachOfThem) {
  for (const char* name : {"afq4", "bnb_nf4_nested", "hqq4", "fp8_block", "nvfp4_ct"}) {
    SCOPED_TRACE(name);
    const HfVector v = hf_vector(name);
    const HfGroup weight(v.weight);
    std::vector<RawTensor> tensors;
    for (const auto& [suffix, tensor] : weight.tensors) tensors.push_back(tensor);
    RawTensor norm = tensors.front();
    norm.name = "model.layers.0.input_layernorm.weight";
    tensors.push_back(norm);
    const Json config = {{"architectures", {"LlamaForCausalLM"}},
                         {v.name == "afq4" ? "quantization" : "quantization_config", v.weight.config}};
    const auto checkpoint = Checkpoint::assemble("m", config, tensors);
    const TensorGroup whole = group_of(*checkpoint, v.weight.name);
    EXPECT_EQ(hash_of(dequantized(format_of(whole), whole)), v.hash);
    for (const RawTensor& tensor : checkpoint->tensors()) {
      const TensorGroup around = group_around(*checkpoint, tensor);
      const bool part = tensor.name.starts_with(v.weight.name);
      EXPECT_EQ(around.name, part ? v.weight.name : tensor.name);
      EXPECT_EQ(around.parts.size(), part ? v.weight.parts.size() : 1);
    }
  }
}

TEST(HfFormats, UnknownMethodsListTheTensorsAndTheNearestFormat) {
  HfWeight weight = hf_vector("gptq8_f16").weight;
  weight.config = {{"quant_method", "exl2"}, {"bits", 4.0}};
  weight.parts["q_weight"] = weight.parts.at("qweight");
  weight.parts.erase("qweight");
  const HfGroup group(weight);
  try {
    format_of(group.group);
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
    for (const char* part :
         {"model.layers.0.mlp.up_proj", "q_weight i32 [32, 16]", "\"exl2\"", "gptq of the same bits", "known formats"})
      EXPECT_THAT(e.what(), HasSubstr(part));
  }
}

// What a method that nobody here knows writes may have the names of one that is read, or those of plain weights.
TEST(HfFormats, UnknownMethodsAreRefusedOverTensorsOfAnyNames) {
  HfWeight plain;
  plain.parts["weight"] = {TensorType::bf16, {2, 32}, std::vector<std::byte>(128)};
  const auto refusal = [](HfWeight weight, const char* method) -> std::string {
    weight.config = {{"quant_method", method}};
    const HfGroup group(weight);
    try {
      return std::string("read as ") + std::string(format_of(group.group).name);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::unsupported);
      return e.what();
    }
  };
  const HfWeight fp8 = hf_vector("fp8_tensor").weight, int8 = hf_vector("ct_w8a8").weight;
  EXPECT_THAT(refusal(fp8, "Quark"), HasSubstr("nearest to it is fp8 or mxfp4 as compressed-tensors writes them"));
  EXPECT_THAT(refusal(fp8, "foo"), HasSubstr("\"foo\" is not read, and nearest to it is fp8_hf"));
  EXPECT_THAT(refusal(int8, "foo"), HasSubstr("nearest to it is compressed_tensors"));
  EXPECT_THAT(refusal(int8, "exl2"), HasSubstr("weight i8 [19, 64]"));
  EXPECT_THAT(refusal(plain, "foo"),
              HasSubstr("model.layers.0.mlp.up_proj: nobody knows what is meant by its tensors (weight bf16 [2, 32])"));
  EXPECT_THAT(refusal(plain, "foo"), HasSubstr("nearest to it is the same model as compressed-tensors or GGUF"));
  EXPECT_EQ(refusal(plain, "gptq"), "read as bf16") << "what a known method leaves alone";
  EXPECT_EQ(refusal(fp8, "fbgemm_fp8"), "read as fp8_hf");
}

TEST(HfFormats, EmptyTransformsAreNone) {
  for (const Json& none : {Json(), Json::object(), Json{{"config_groups", Json::object()}}}) {
    HfVector v = hf_vector("ct_w8a8");
    v.weight.config["transform_config"] = none;
    const HfGroup weight(v.weight);
    EXPECT_EQ(hash_of(dequantized(format_of(weight.group), weight.group)), v.hash) << none;
  }
}

TEST(HfFormats, WhatIsWrongIsSaid) {
  for (const Damage& damage : kDamages) {
    SCOPED_TRACE(damage.what);
    HfVector v = hf_vector(damage.vector);
    damage.damage(v.weight);
    const HfGroup weight(v.weight);
    LogicalGroups groups;
    try {
      const Format& format = format_of(weight.group);
      format.groups(weight.group, {0, v.out, 0, v.in}, groups);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), damage.code) << e.what();
      EXPECT_THAT(e.what(), HasSubstr(damage.says));
      EXPECT_THAT(e.what(), HasSubstr("model.layers.0.mlp.up_proj"));
    }
  }
}

}  // namespace
}  // namespace gale
