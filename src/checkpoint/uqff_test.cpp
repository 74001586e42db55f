#include "checkpoint/uqff.h"

#include <gmock/gmock.h>

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>

#include "base/rng.h"
#include "checkpoint/checkpoint.h"
#include "gale/error.h"

// Layers of mistral.rs's files, one thing wrong at a time. That what they become has the right values tests/golden/data/*_uqff
// show.
namespace gale {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using enum TensorType;

struct Tensors {
  struct One {
    TensorType type;
    Shape shape;
    std::vector<std::byte> bytes;
  };
  std::map<std::string, One> all;

  template <class T>
  void put(const std::string& name, TensorType type, const Shape& shape, std::vector<T> values) {
    One one{type, shape, std::vector<std::byte>(values.size() * sizeof(T))};
    std::memcpy(one.bytes.data(), values.data(), one.bytes.size());
    all[name] = std::move(one);
  }
  void put_bytes(const std::string& name, TensorType type, const Shape& shape) {
    put(name, type, shape, std::vector<uint8_t>(size_t(shape.elements() * tensor_type_info(type).bytes), 1));
  }
  std::vector<RawTensor> tensors() const {
    std::vector<RawTensor> out;
    for (const auto& [name, one] : all) {
      RawTensor tensor;
      tensor.name = name, tensor.type = one.type, tensor.shape = one.shape, tensor.bytes = one.bytes;
      tensor.source = "q4k-0.uqff: " + name;
      out.push_back(std::move(tensor));
    }
    return out;
  }
};

const std::string kKey = "model.layers.0.self_attn.q_proj.weight";

/// One layer of the family.
Tensors layer(int family, bool experts = false) {
  Tensors t;
  for (const auto& [part, n] : {std::pair("major", 1u), {"minor", 2u}, {"patch", 0u}})
    t.put<uint32_t>(std::string("uqff.version.") + part, u32, {}, {n});
  t.put<uint8_t>(kKey + ".format", u8, {}, {uint8_t(family)});
  t.put_bytes("model.layers.0.self_attn.q_proj.bias", f32, {8});
  const auto shape = [&](int64_t columns) { return experts ? Shape{3, 8, columns} : Shape{8, columns}; };
  const auto said = [&] {
    if (experts)
      t.put<uint32_t>(kKey + ".shape", u32, {3}, {3, 8, 64});
    else
      t.put<uint32_t>(kKey + ".shape", u32, {2}, {8, 64});
  };
  const int64_t rows = experts ? 24 : 8;
  switch (family) {
    case 0:
      t.put_bytes(kKey, u8, {rows * 2 * 34});
      t.put<uint32_t>(kKey + ".dtype", u32, {}, {8});
      said();
      break;
    case 1:
      t.put_bytes(kKey, bf16, shape(64));
      break;
    case 2:
      t.put_bytes(kKey, u8, {16, 16});
      t.put_bytes(kKey + ".scales", f32, {1, 16});
      t.put_bytes(kKey + ".zeros", f32, {1, 16});
      said();
      for (const auto& [part, n] : {std::pair("bits", 4), {"axis", 0}, {"round_zeros", 0}, {"channel_wise", 1}})
        t.put<uint8_t>(kKey + "." + part, u8, {}, {uint8_t(n)});
      for (const auto& [part, n] : {std::pair("group_size", 32u), {"optimization_steps", 0u}})
        t.put<uint32_t>(kKey + "." + part, u32, {}, {n});
      break;
    case 3:
      t.put_bytes(kKey, f8_e4m3, shape(64));
      for (const char* part : {"dequant_w_scale", "dequant_x_scale", "quant_scale"})
        t.put<float>(kKey + "." + part, f32, {}, {1});
      t.put<uint32_t>(kKey + ".dtype", u32, {}, {9});
      break;
    case 4:
      t.put_bytes(kKey, u32, shape(8));
      t.put_bytes(kKey + ".scales", f32, shape(2));
      t.put_bytes(kKey + ".biases", f32, shape(2));
      t.put<uint8_t>(kKey + ".bits", u8, {}, {4});
      t.put<uint8_t>(kKey + ".group_size", u8, {}, {32});
      break;
    case 5:
      t.put_bytes(kKey, u8, {rows * 2 * 33});
      t.put<uint32_t>(kKey + ".num_blocks", u32, {}, {uint32_t(rows * 2)});
      said();
      break;
    default:
      t.put_bytes(kKey, u8, shape(32));
      t.put_bytes(kKey + ".scales", u8, shape(2));
  }
  return t;
}

std::vector<std::string> names_of(const std::vector<RawTensor>& tensors) {
  std::vector<std::string> out;
  for (const RawTensor& t : tensors)
    if (!t.name.ends_with("q_proj.bias")) out.push_back(t.name.substr(t.name.find("attn.") + 5));
  return out;
}

TEST(Uqff, LayersBecomeWhatTheyAreElsewhere) {
  const std::vector<std::vector<std::string>> want = {
      {"q_proj.weight"},
      {"q_proj.weight"},
      {"q_proj.W_q", "q_proj.scale", "q_proj.zero", "q_proj.nbits", "q_proj.axis", "q_proj.group_size", "q_proj.shape"},
      {"q_proj.weight", "q_proj.weight_scale"},
      {"q_proj.weight", "q_proj.scales", "q_proj.biases", "q_proj.group_size"},
      {"q_proj.weight"},
      {"q_proj.blocks", "q_proj.scales"}};
  for (int family = 0; family < 7; ++family) {
    const Tensors t = layer(family);
    const std::vector<RawTensor> got = translate_uqff(t.tensors(), "q4k-0.uqff");
    EXPECT_EQ(names_of(got), want[size_t(family)]) << family;
    EXPECT_TRUE(std::ranges::count(got, "model.layers.0.self_attn.q_proj.bias", &RawTensor::name)) << family;
  }
  const Tensors blocks = layer(0);
  for (const RawTensor& t : translate_uqff(blocks.tensors(), "q4k-0.uqff"))
    if (t.name == kKey) {
      EXPECT_EQ(t.type, q8_0);
      EXPECT_EQ(t.shape, (Shape{8, 64}));
    }
}

TEST(Uqff, StacksOfExpertsAreTakenApartWhereAWeightIsSeveralTensors) {
  for (const auto& [family, parts] : {std::pair(0, size_t(1)), {1, 1}, {3, 6}, {4, 12}, {5, 1}, {6, 6}}) {
    const Tensors t = layer(family, true);
    const auto got = translate_uqff(t.tensors(), "q4k-0.uqff");
    EXPECT_EQ(got.size(), parts + 1) << family;  // and the bias
    for (const RawTensor& one : got)
      if (parts > 1 && !one.name.ends_with("q_proj.bias")) {
        EXPECT_THAT(one.name, HasSubstr("self_attn.")) << family;
        EXPECT_THAT(one.name, ::testing::ContainsRegex("attn\\.[012]\\.q_proj\\.")) << family;
        EXPECT_LT(one.shape.rank(), 3) << family;
        EXPECT_EQ(int64_t(one.bytes.size()), one.elements() * tensor_type_info(one.type).bytes) << family;
      }
  }
}

struct Damage {
  const char* what;
  int family;
  ErrorCode code;
  std::function<void(Tensors&)> damage;
  const char* says;
};

const Damage kDamages[] = {
    {"another version", 0, ErrorCode::unsupported, [](Tensors& t) { t.put<uint32_t>("uqff.version.major", u32, {}, {2}); },
     "is UQFF 2.2.0; read is 1.0 to 1.2"},
    {"a later version", 0, ErrorCode::unsupported, [](Tensors& t) { t.put<uint32_t>("uqff.version.minor", u32, {}, {3}); },
     "is UQFF 1.3.0; read is 1.0 to 1.2"},
    {"HQQ of five bits", 2, ErrorCode::unsupported, [](Tensors& t) { t.put<uint8_t>(kKey + ".bits", u8, {}, {5}); },
     "is 5; read are codes of 1, 2, 3, 4, 8 bits"},
    {"HQQ of more bits than there are", 2, ErrorCode::corrupt, [](Tensors& t) { t.put<uint8_t>(kKey + ".bits", u8, {}, {8}); },
     "too little"},
    {"AFQ of other bits than there are", 4, ErrorCode::corrupt, [](Tensors& t) { t.put<uint8_t>(kKey + ".bits", u8, {}, {8}); },
     "no codes of 8 bits"},
    {"no version", 0, ErrorCode::unsupported, [](Tensors& t) { t.all.erase("uqff.version.minor"); }, "uqff.version.major"},
    {"a version of floats", 0, ErrorCode::corrupt, [](Tensors& t) { t.put<float>("uqff.version.major", f32, {}, {1}); },
     "one u32"},
    {"an unknown family", 0, ErrorCode::unsupported, [](Tensors& t) { t.put<uint8_t>(kKey + ".format", u8, {}, {9}); }, "is 9"},
    {"a tag of two", 0, ErrorCode::corrupt, [](Tensors& t) { t.put<uint8_t>(kKey + ".format", u8, {2}, {0, 0}); }, "one u8"},
    {"an unknown type", 0, ErrorCode::unsupported, [](Tensors& t) { t.put<uint32_t>(kKey + ".dtype", u32, {}, {99}); },
     "no type 99"},
    {"no type", 0, ErrorCode::corrupt, [](Tensors& t) { t.all.erase(kKey + ".dtype"); }, "weight.dtype"},
    {"too few blocks", 0, ErrorCode::corrupt, [](Tensors& t) { t.put_bytes(kKey, u8, {7 * 2 * 34}); }, "takes 544 bytes"},
    {"rows of no whole blocks", 0, ErrorCode::corrupt, [](Tensors& t) { t.put<uint32_t>(kKey + ".shape", u32, {2}, {8, 65}); },
     "rows of 65"},
    {"a shape of four", 0, ErrorCode::corrupt, [](Tensors& t) { t.put<uint32_t>(kKey + ".shape", u32, {4}, {1, 1, 1, 1}); },
     "one to three"},
    {"a shape that overflows", 0, ErrorCode::corrupt,
     [](Tensors& t) { t.put<uint32_t>(kKey + ".shape", u32, {3}, {~0u, ~0u, ~0u & ~31u}); }, "shape"},
    {"blocks of floats", 0, ErrorCode::corrupt, [](Tensors& t) { t.all[kKey].type = i8; }, "must be of u8"},
    {"no weight", 1, ErrorCode::corrupt, [](Tensors& t) { t.all.erase(kKey); }, "q_proj.weight\""},
    {"HQQ of a stack", 2, ErrorCode::unsupported, [](Tensors& t) { t.put<uint32_t>(kKey + ".shape", u32, {3}, {2, 4, 64}); },
     "stacked experts"},
    {"HQQ under one scale", 2, ErrorCode::unsupported, [](Tensors& t) { t.put<uint8_t>(kKey + ".channel_wise", u8, {}, {0}); },
     "one scale"},
    {"HQQ without zeros", 2, ErrorCode::corrupt, [](Tensors& t) { t.all.erase(kKey + ".zeros"); }, "weight.zeros"},
    {"FP8 of f16", 3, ErrorCode::corrupt, [](Tensors& t) { t.put_bytes(kKey, f16, {8, 64}); }, "f8_e4m3"},
    {"FP8 under many scales", 3, ErrorCode::corrupt, [](Tensors& t) { t.put_bytes(kKey + ".dequant_w_scale", f32, {8}); },
     "one number"},
    {"AFQ without biases", 4, ErrorCode::corrupt, [](Tensors& t) { t.all.erase(kKey + ".biases"); }, "weight.biases"},
    {"F8Q8 over rows' ends", 5, ErrorCode::unsupported, [](Tensors& t) { t.put<uint32_t>(kKey + ".shape", u32, {2}, {8, 66}); },
     "whole blocks"},
    {"MXFP4 without scales", 6, ErrorCode::corrupt, [](Tensors& t) { t.all.erase(kKey + ".scales"); }, "weight.scales"},
};

TEST(Uqff, WhatIsWrongIsSaid) {
  for (const Damage& d : kDamages) {
    Tensors t = layer(d.family);
    d.damage(t);
    try {
      translate_uqff(t.tensors(), "q4k-0.uqff");
      ADD_FAILURE() << d.what;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), d.code) << d.what << ": " << e.what();
      EXPECT_THAT(e.what(), HasSubstr(d.says)) << d.what;
      EXPECT_THAT(e.what(), HasSubstr("q4k-0.uqff")) << d.what;
    }
  }
  Tensors old;
  old.put_bytes("0", u8, {4});
  old.put_bytes("1", u8, {4});
  try {
    translate_uqff(old.tensors(), "q4k-0.uqff");
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("before 1.0"));
  }
}

TEST(Uqff, RandomDamageIsRefusedOrRead) {
  SplitMix64 random{5};
  int refused = 0, read = 0;
  for (int round = 0; round < 3000; ++round) {
    Tensors t = layer(int(random() % 7), random() % 3 == 0);
    auto at = t.all.begin();
    std::advance(at, long(random() % t.all.size()));
    Tensors::One& one = at->second;
    switch (random() % 5) {
      case 0:
        one.shape = random() % 2 ? Shape{int64_t(random() % 40)} : Shape{int64_t(random() % 9), int64_t(random() % 40), 2};
        one.bytes.resize(size_t(one.shape.elements() * tensor_type_info(one.type).bytes));  // as the reader of the file checks
        break;
      case 1:
        t.all.erase(at);
        break;
      case 2:
        one.type = tensor_types()[random() % 16].type;
        one.bytes.resize(size_t(one.shape.elements() * tensor_type_info(one.type).bytes));
        break;
      default:
        for (int i = 0; i < 4 && !one.bytes.empty(); ++i) one.bytes[random() % one.bytes.size()] = std::byte(random() & 0xff);
    }
    try {
      uint8_t sum = 0;
      for (const RawTensor& tensor : translate_uqff(t.tensors(), "q4k-0.uqff"))
        for (const std::byte b : tensor.bytes) sum = uint8_t(sum + uint8_t(b));
      ++read;
      volatile uint8_t sink = sum;
      static_cast<void>(sink);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 500);
  EXPECT_GT(read, 500);
}

TEST(Uqff, SetsOfAFolder) {
  const std::vector<std::string> names = {"afq4-0.uqff", "afq4-1.uqff", "model.uqff", "q4k-1.uqff",
                                          "q4k-0.uqff",  "readme.md",   "x-y.uqff"};
  EXPECT_THAT(uqff_sets(names), ElementsAre("afq4-0.uqff", "model.uqff", "q4k-0.uqff", "x-y.uqff"));
}

std::string message_of(const fs::path& path) {
  try {
    Checkpoint::open(path);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Uqff, FoldersAndShardsAreOpenedAndWhatIsMissingIsNamed) {
  const fs::path golden = fs::path(GALE_SOURCE_DIR) / "tests/golden/data/llama_uqff";
  const size_t all = Checkpoint::open(golden)->tensors().size();
  EXPECT_EQ(Checkpoint::open(golden / "mixed-1.uqff")->tensors().size(), all);
  const fs::path folder = fs::temp_directory_path() / ("gale-uqff-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  for (const char* name : {"config.json", "mixed-0.uqff", "mixed-1.uqff"}) fs::copy_file(golden / name, folder / name);
  EXPECT_THAT(message_of(folder), HasSubstr("residual.safetensors is not there"));
  fs::copy_file(golden / "residual.safetensors", folder / "residual.safetensors");
  EXPECT_EQ(message_of(folder), "");
  fs::copy_file(golden / "mixed-0.uqff", folder / "other-0.uqff");
  EXPECT_THAT(message_of(folder), HasSubstr("2 models, name one of them: mixed-0.uqff, other-0.uqff"));
  fs::remove(folder / "other-0.uqff");
  fs::rename(folder / "mixed-1.uqff", folder / "mixed-2.uqff");
  EXPECT_THAT(message_of(folder), HasSubstr("mixed-1.uqff is not there"));
  fs::rename(folder / "mixed-2.uqff", folder / "mixed-1.uqff");
  fs::remove(folder / "mixed-0.uqff");
  EXPECT_THAT(message_of(folder / "mixed-1.uqff"), HasSubstr("mixed-0.uqff is not there"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace gale
