#include <fmt/format.h>
#include <gmock/gmock.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <functional>
#include <numeric>

#include "base/half.h"
#include "base/json.h"
#include "gale/error.h"
#include "kernels/matrix.h"
#include "quant/gptq_dynamic.h"
#include "quant/test_weights.h"

// GPTQ weights: against values of another implementation, through the kernels' layouts, and with everything wrong that can be.
namespace gale {
namespace {

using ::testing::HasSubstr;

/// A group and the bytes of its parts.
struct Parts {
  std::map<std::string, std::pair<RawTensor, std::vector<std::byte>>, std::less<>> parts;
  Json config;

  void put(const std::string& suffix, TensorType type, Shape shape, std::vector<std::byte> bytes) {
    auto& [tensor, own] = parts[suffix];
    own = std::move(bytes);
    tensor.name = "model.layers.0.mlp.up_proj." + suffix;
    tensor.type = type;
    tensor.shape = shape;
    tensor.bytes = own;
    tensor.source = "model.safetensors";
  }
  RawTensor& part(const std::string& suffix) { return parts.at(suffix).first; }
  TensorGroup group() const {
    TensorGroup out;
    out.name = "model.layers.0.mlp.up_proj";
    out.quantization_config = &config;
    for (const auto& [suffix, both] : parts) out.parts[suffix] = &both.first;
    return out;
  }
};

std::vector<std::byte> from_hex(const std::string& text) {
  std::vector<std::byte> out(text.size() / 2);
  for (size_t i = 0; i < out.size(); ++i) out[i] = std::byte(std::stoi(text.substr(2 * i, 2), nullptr, 16));
  return out;
}

struct Vector {
  std::string name;
  Parts parts;
  int64_t in = 0, out = 0, groups = 0;
  std::vector<float> values;  // [out, in]
  Slice2 whole() const { return {0, out, 0, in}; }
};

std::vector<Vector> read_vectors() {
  std::ifstream file(GALE_SOURCE_DIR "/src/quant/testdata/gptq_vectors.txt");
  std::vector<Vector> all;
  std::string config, qweight, qzeros, scales, g_idx, values;
  for (Vector v; file >> v.name >> config >> v.in >> v.out >> v.groups >> qweight >> qzeros >> scales >> g_idx >> values;) {
    v.parts = {};
    v.parts.config = Json::parse(config);
    v.parts.put("qweight", TensorType::i32, {v.in / 8, v.out}, from_hex(qweight));
    v.parts.put("qzeros", TensorType::i32, {v.groups, v.out / 8}, from_hex(qzeros));
    v.parts.put("scales", TensorType::f16, {v.groups, v.out}, from_hex(scales));
    if (g_idx != "-") v.parts.put("g_idx", TensorType::i32, {v.in}, from_hex(g_idx));
    const auto bytes = from_hex(values);
    v.values.resize(bytes.size() / sizeof(float));
    std::memcpy(v.values.data(), bytes.data(), bytes.size());
    all.push_back(v);
  }
  return all;
}

// With its parts over bytes of its own, whatever was copied on the way.
Vector vector_named(std::string_view name) {
  for (Vector& v : read_vectors()) {
    if (v.name != name) continue;
    Vector out = v;
    for (auto& [suffix, both] : out.parts.parts) both.first.bytes = both.second;
    return out;
  }
  ADD_FAILURE() << "no vector " << name;
  return {};
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::ranges::equal(a, b, [](float x, float y) { return std::bit_cast<uint32_t>(x) == std::bit_cast<uint32_t>(y); });
}

const Format& gptq() { return find_format("gptq"); }

std::vector<float> dequantize(const TensorGroup& group, const Slice2& slice) {
  std::vector<float> out(size_t(slice.rows * slice.columns));
  gptq().dequantize(group, slice, out.data());
  return out;
}

PackedMatrix pack(const TensorGroup& group, int64_t rows, int64_t columns) {
  PackedMatrix packed = make_packed(gptq().layout(group), rows, columns);
  if (const auto order = gptq().order(group); !order.empty()) {
    packed.order = heap_storage(order.size() * sizeof(int32_t));
    std::memcpy(packed.order->data(), order.data(), order.size() * sizeof(int32_t));
  }
  LogicalGroups groups;
  gptq().groups(group, {0, rows, 0, columns}, groups);
  arrange(groups, packed);
  return packed;
}

TEST(Gptq, KnownAnswersOfAnotherImplementation) {
  const std::vector<Vector> all = read_vectors();
  EXPECT_EQ(all.size(), 6u);
  for (const Vector& one : all) {
    const Vector v = vector_named(one.name);
    const TensorGroup group = v.parts.group();
    EXPECT_EQ(&format_of(group), &gptq());
    EXPECT_EQ(gptq().shape(group), std::pair(v.out, v.in));
    EXPECT_TRUE(same_bits(dequantize(group, v.whole()), v.values)) << v.name;
  }
}

TEST(Gptq, PackedRowsAreTheDequantizedOnes) {
  for (const Vector& one : read_vectors()) {
    const Vector v = vector_named(one.name);
    const PackedMatrix packed = pack(v.parts.group(), v.out, v.in);
    EXPECT_EQ(bool(packed.order), v.name.find("act_order") != v.name.npos) << v.name;
    std::vector<float> all(v.values.size());
    for (int64_t r = 0; r < v.out; ++r) unpack_row(packed, r, all.data() + r * v.in);
    EXPECT_TRUE(same_bits(all, v.values)) << v.name;
  }
}

TEST(Gptq, GroupsOfTheKernelsAreTheWidestThatFit) {
  for (const auto& [name, width] : {std::pair("v1", 32),
                                    {"v2_act_order", 64},
                                    {"v1_whole_row_no_g_idx", 32},
                                    {"v2_extremes", 128},
                                    {"v1_short_last_group", 32}})
    EXPECT_EQ(gptq().layout(vector_named(name).parts.group()).block, width) << name;
}

TEST(Gptq, SlicesAreCutsOfTheWhole) {
  const Vector v = vector_named("v2_act_order");
  const TensorGroup group = v.parts.group();
  LogicalGroups whole, part;
  gptq().groups(group, v.whole(), whole);
  gptq().groups(group, {5, 7, 64, 64}, part);
  for (int64_t r = 0; r < 7; ++r) {
    EXPECT_TRUE(
        std::equal(part.codes.begin() + r * 64, part.codes.begin() + (r + 1) * 64, whole.codes.begin() + (r + 5) * 128 + 64));
    EXPECT_EQ(part.top[size_t(r)], whole.top[size_t((r + 5) * 2 + 1)]);
    EXPECT_EQ(part.zero[size_t(r)], whole.zero[size_t((r + 5) * 2 + 1)]);
  }
  const std::vector<float> some = dequantize(group, {3, 2, 10, 20});
  for (int64_t r = 0; r < 2; ++r)
    for (int64_t c = 0; c < 20; ++c) EXPECT_EQ(some[size_t(r * 20 + c)], v.values[size_t((r + 3) * 128 + c + 10)]);
  for (const Slice2& wrong : {Slice2{0, 17, 0, 128}, {-1, 1, 0, 128}, {0, 1, 32, 64}, {0, 1, 64, 128}})
    EXPECT_THROW(gptq().groups(group, wrong, part), Error);
}

TEST(Gptq, OtherScaleTypesAreReadAsTheyAre) {
  Vector v = vector_named("v1");
  std::vector<std::byte> f32(size_t(v.groups * v.out * 4)), bf16(f32.size() / 2);
  for (int64_t i = 0; i < v.groups * v.out; ++i) {
    const float scale = 0.0078125f * float(1 + i % 7);  // in f16 and bf16
    std::memcpy(f32.data() + i * 4, &scale, 4);
    const uint16_t half = f32_to_bf16(scale);
    std::memcpy(bf16.data() + i * 2, &half, 2);
  }
  v.parts.put("scales", TensorType::f32, {v.groups, v.out}, f32);
  const auto first = dequantize(v.parts.group(), v.whole());
  v.parts.put("scales", TensorType::bf16, {v.groups, v.out}, bf16);
  EXPECT_TRUE(same_bits(dequantize(v.parts.group(), v.whole()), first));
  EXPECT_FALSE(same_bits(first, v.values));
  const float odd = 0.1f;
  std::memcpy(f32.data() + 12, &odd, 4);
  v.parts.put("scales", TensorType::f32, {v.groups, v.out}, f32);
  EXPECT_EQ(gptq().layout(v.parts.group()).top, ScaleType::f32);
  EXPECT_FALSE(same_bits(dequantize(v.parts.group(), v.whole()), first));
}

// What no config describes: bits by the shapes, and the form of the zeros by zeros and codes, or not at all.
TEST(Gptq, WithoutAConfigTheFormIsKnownOrRefused) {
  std::ifstream file(GALE_SOURCE_DIR "/src/quant/testdata/gptq_form.txt");
  std::string name, qweight, qzeros, scales;
  int64_t bits = 0, in = 0, out = 0, groups = 0, lacking = 0;
  int known = 0, refused = 0;
  while (file >> name >> bits >> in >> out >> groups >> lacking >> qweight >> qzeros >> scales) {
    SCOPED_TRACE(name);
    Vector v;
    v.parts.put("qweight", TensorType::i32, {in * bits / 32, out}, from_hex(qweight));
    v.parts.put("qzeros", TensorType::i32, {groups, out * bits / 32}, from_hex(qzeros));
    v.parts.put("scales", TensorType::f16, {groups, out}, from_hex(scales));
    std::vector<std::byte> g_idx(size_t(in * 4));
    for (int32_t i = 0; i < in; ++i) {
      const int32_t g = i / int32_t(in / groups);
      std::memcpy(g_idx.data() + i * 4, &g, 4);
    }
    v.parts.put("g_idx", TensorType::i32, {in}, std::move(g_idx));
    v.parts.config = {{"quant_method", "gptq"}, {"bits", bits}, {"checkpoint_format", lacking == 1 ? "gptq" : "gptq_v2"}};
    const TensorGroup told = v.parts.group();
    TensorGroup untold = told;
    untold.quantization_config = nullptr;
    ASSERT_EQ(&format_of(untold), &gptq());
    try {
      EXPECT_TRUE(same_bits(dequantize(untold, {0, out, 0, in}), dequantize(told, {0, out, 0, in})));
      ++known;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::unsupported);
      EXPECT_THAT(e.what(), HasSubstr("put quantize_config.json beside it"));
      EXPECT_THAT(name, ::testing::AnyOf(HasSubstr("8_asym"), HasSubstr("shifted")));
      ++refused;
    }
    // A config without the key, as of AutoGPTQ's early days: v1, but where zeros that are all in the middle say that it is not.
    const Json unsaid{{"quant_method", "gptq"}, {"bits", bits}};
    Json usual = v.parts.config;
    if (name.find("_sym") == std::string::npos) usual["checkpoint_format"] = "gptq";
    TensorGroup without = told, v1 = told;
    without.quantization_config = &unsaid, v1.quantization_config = &usual;
    EXPECT_TRUE(same_bits(dequantize(without, {0, out, 0, in}), dequantize(v1, {0, out, 0, in})));
    untold.parts.erase("g_idx");  // could be AWQ
    EXPECT_THROW(format_of(untold), Error);
  }
  EXPECT_GE(known, 14);
  EXPECT_GE(refused, 4);
}

TEST(Gptq, RulesForSingleModulesAreThoseOfTheReference) {
  std::ifstream file(GALE_SOURCE_DIR "/src/quant/testdata/gptq_rules.txt");
  std::string config, module;
  int64_t quantized = 0, bits = 0, group_size = 0, desc_act = 0, lines = 0;
  for (; file >> config >> module >> quantized >> bits >> group_size >> desc_act; ++lines) {
    SCOPED_TRACE(config + " " + module);
    const Json parsed = Json::parse(config);
    const GptqSettings settings = gptq_settings(&parsed, module);
    ASSERT_EQ(settings.quantized, quantized == 1);
    if (!settings.quantized) continue;
    EXPECT_EQ(settings.bits, bits);
    EXPECT_EQ(settings.group_size, group_size);
    EXPECT_EQ(settings.desc_act, desc_act == 1);
  }
  EXPECT_EQ(lines, 40);
  EXPECT_FALSE(has_gptq_rules(nullptr));
}

TEST(Gptq, RulesNameMixtralsExpertsAsItsFilesDo) {
  for (const bool published : {false, true}) {
    Vector v = vector_named("v2_act_order");
    v.parts.config["dynamic"] = {{R"(.*block_sparse_moe\.experts\.\d+\.w3)", {{"bits", 8}}}};
    if (published) v.parts.part("qweight").source = "f: model.layers.0.block_sparse_moe.experts.1.w3.qweight";
    TensorGroup group = v.parts.group();
    group.name = "model.layers.0.mlp.experts.1.up_proj";
    if (published)
      EXPECT_THROW(gptq().shape(group), Error) << "the rule says 8 bits";
    else
      EXPECT_NO_THROW(gptq().shape(group));
  }
}

// A module's tensors and the rule for it must agree.
TEST(Gptq, ModulesThatContradictTheirRulesAreRefused) {
  const auto expect = [](const char* rule, Json settings, const char* says) {
    Vector v = vector_named("v2_act_order");
    v.parts.config["dynamic"] = {{rule, std::move(settings)}};
    const TensorGroup group = v.parts.group();
    try {
      gptq().shape(group);
      EXPECT_EQ(says, nullptr) << rule;
    } catch (const Error& e) {
      ASSERT_NE(says, nullptr) << e.what();
      EXPECT_THAT(e.what(), HasSubstr(says));
      EXPECT_THAT(e.what(), HasSubstr("model.layers.0.mlp.up_proj"));
    }
  };
  expect(".*up_proj", {{"bits", 4}}, nullptr);
  expect(".*down_proj", {{"bits", 8}}, nullptr);
  expect(".*up_proj", {{"bits", 8}}, "its config says 8 bits by \".*up_proj\", but its tensors have 4");
  expect(".*up_proj", {{"group_size", 32}}, "groups of 32");
  expect("-:.*up_proj", Json::object(), "that it is not quantized");
  expect(".*up_proj", 8, "expected an object");
  expect("(((", {{"bits", 4}}, "(((");
  expect("(a|a)*(a|a)*(a|a)*$.*up_proj", Json::object(), nullptr);
}

// One thing wrong at a time.
struct Damage {
  const char* what;
  ErrorCode code;
  std::function<void(Vector&)> damage;
  const char* says;
};

void config(Vector& v, const char* key, Json value) { v.parts.config[key] = std::move(value); }

const Damage kDamages[] = {
    {"five bits", ErrorCode::unsupported, [](Vector& v) { config(v, "bits", 5); }, "5 bits"},
    {"bits of another file", ErrorCode::corrupt, [](Vector& v) { config(v, "bits", 8); }, "in 8 bits"},
    {"bits that are no whole words", ErrorCode::corrupt, [](Vector& v) { config(v, "bits", 3); }, "no whole columns of 3 bits"},
    {"marlin", ErrorCode::unsupported, [](Vector& v) { config(v, "checkpoint_format", "marlin"); }, "Marlin"},
    {"marlin by flag", ErrorCode::unsupported, [](Vector& v) { config(v, "is_marlin_format", true); }, "Marlin"},
    {"unknown form", ErrorCode::unsupported, [](Vector& v) { config(v, "checkpoint_format", "gptq_v9"); }, "gptq_v9"},
    {"groups beyond any row", ErrorCode::corrupt,
     [](Vector& v) {
       v.parts.parts.erase("g_idx");
       config(v, "desc_act", false);
       config(v, "group_size", INT64_MAX);
     },
     "1 groups"},
    {"no zeros", ErrorCode::corrupt, [](Vector& v) { v.parts.parts.erase("qzeros"); }, "qzeros"},
    {"no scales", ErrorCode::corrupt, [](Vector& v) { v.parts.parts.erase("scales"); }, "scales"},
    {"no codes", ErrorCode::corrupt, [](Vector& v) { v.parts.parts.erase("qweight"); }, "qweight"},
    {"no g_idx", ErrorCode::corrupt, [](Vector& v) { v.parts.parts.erase("g_idx"); }, "g_idx"},
    {"flat codes", ErrorCode::corrupt, [](Vector& v) { v.parts.part("qweight").shape = {16 * 16}; }, "matrices"},
    {"no columns", ErrorCode::corrupt, [](Vector& v) { v.parts.part("qweight").shape = {0, 16}; }, "matrices"},
    {"scales too wide", ErrorCode::corrupt, [](Vector& v) { v.parts.part("scales").shape = {1, 32}; }, "scales is [1, 32]"},
    {"zeros too few", ErrorCode::corrupt, [](Vector& v) { v.parts.part("qzeros").shape = {1, 2}; }, "qzeros is [1, 2]"},
    {"zeros unpacked", ErrorCode::corrupt, [](Vector& v) { v.parts.part("qzeros").shape = {2, 16}; }, "qzeros is [2, 16]"},
    {"g_idx too short", ErrorCode::corrupt, [](Vector& v) { v.parts.part("g_idx").shape = {127}; }, "g_idx is [127]"},
    {"codes of floats", ErrorCode::corrupt, [](Vector& v) { v.parts.part("qweight").type = TensorType::f32; }, "type f32"},
    {"scales of integers", ErrorCode::corrupt, [](Vector& v) { v.parts.part("scales").type = TensorType::i16; }, "type i16"},
    {"codes cut short", ErrorCode::corrupt,
     [](Vector& v) { v.parts.part("qweight").bytes = v.parts.part("qweight").bytes.first(100); }, "100 bytes"},
    {"group too high", ErrorCode::corrupt, [](Vector& v) { v.parts.parts.at("g_idx").second[0] = std::byte(2); },
     "is in group 2"},
    {"group below 0", ErrorCode::corrupt,
     [](Vector& v) { std::fill_n(v.parts.parts.at("g_idx").second.begin(), 4, std::byte(0xff)); }, "is in group -1"},
    {"groups of odd sizes", ErrorCode::unsupported,
     [](Vector& v) {
       auto& first = v.parts.parts.at("g_idx").second[0];
       first = first == std::byte(0) ? std::byte(1) : std::byte(0);
     },
     "multiples of 32"},
    {"infinite scale", ErrorCode::corrupt,
     [](Vector& v) {
       v.parts.parts.at("scales").second[1] = std::byte(0x7c);
       v.parts.parts.at("scales").second[0] = std::byte(0);
     },
     "not a finite number"},
};

TEST(Gptq, WhatIsWrongIsSaid) {
  for (const Damage& damage : kDamages) {
    Vector v = vector_named("v2_act_order");
    damage.damage(v);
    const TensorGroup group = v.parts.group();
    LogicalGroups groups;
    try {
      const Format& format = format_of(group);
      format.groups(group, {0, 16, 0, 128}, groups);
      ADD_FAILURE() << damage.what;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), damage.code) << damage.what << ": " << e.what();
      EXPECT_THAT(e.what(), HasSubstr(damage.says)) << damage.what;
      EXPECT_THAT(e.what(), HasSubstr("model.layers.0.mlp.up_proj")) << damage.what;
    }
  }
  Vector sizes = vector_named("v1_whole_row_no_g_idx");
  sizes.parts.config["group_size"] = 32;
  try {
    gptq().layout(sizes.parts.group());
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("are 3 groups, but there are scales of 1"));
  }
}

// Any bytes in any part of any shape: an error, or values; never a read outside of them (under ASan).
TEST(Gptq, RandomDamageIsRefusedOrRead) {
  SplitMix64 random{17};
  int refused = 0, read = 0;
  for (int round = 0; round < 400; ++round) {
    Vector v = vector_named(round % 2 ? "v2_act_order" : "v1_extremes_act_order");
    auto at = v.parts.parts.begin();
    std::advance(at, long(random() % v.parts.parts.size()));
    auto& [tensor, bytes] = at->second;
    if (random() % 3 == 0) tensor.shape = {int64_t(random() % 40), int64_t(random() % 40)};
    if (random() % 3 == 0) tensor.bytes = tensor.bytes.first(random() % bytes.size());
    for (uint64_t i = random() % 4; i > 0; --i) bytes[random() % bytes.size()] = std::byte(random() & 0xff);
    const TensorGroup group = v.parts.group();
    try {
      const auto [rows, columns] = gptq().shape(group);
      pack(group, rows, columns);
      dequantize(group, {0, rows, 0, columns});
      ++read;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(read, 50);
}

}  // namespace
}  // namespace gale
