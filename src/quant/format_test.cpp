#include "quant/format.h"
#include "quant/blocks.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <set>

#include "base/half.h"
#include "gale/error.h"
#include "kernels/take_apart.h"
#include "quant/test_hf_weights.h"
#include "quant/test_weights.h"

namespace gale {
namespace {

using quant_test::any_weight;
using quant_test::dequantize;
using quant_test::made_formats;
using quant_test::quantize;
using quant_test::typed_formats;
using quant_test::Weight;
using ::testing::HasSubstr;

/// Runs `call`, which must throw an Error of that code; its message.
template <class Call>
std::string message_of(ErrorCode code, Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

std::vector<std::byte> from_hex(const std::string& text) {
  std::vector<std::byte> out(text.size() / 2);
  for (size_t i = 0; i < out.size(); ++i) out[i] = std::byte(std::stoi(text.substr(2 * i, 2), nullptr, 16));
  return out;
}

std::vector<float> as_floats(const std::vector<std::byte>& bytes) {
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

struct Vector {
  std::string task, format;
  std::vector<std::byte> input, output;
};

std::vector<Vector> read_vectors(const std::string& name) {
  std::ifstream file(GALE_SOURCE_DIR "/src/quant/testdata/" + name);
  std::vector<Vector> out;
  for (std::string task, format, input, output; file >> task >> format >> input >> output;)
    out.push_back({task, format, from_hex(input), from_hex(output)});
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::ranges::equal(a, b, [](float x, float y) { return std::bit_cast<uint32_t>(x) == std::bit_cast<uint32_t>(y); });
}

TEST(Formats, KnownAnswersOfAnotherImplementation) {
  std::vector<Vector> vectors = read_vectors("vectors.txt");
  EXPECT_EQ(vectors.size(), 12u);
  std::ranges::copy(read_vectors("gguf_vectors.txt"), std::back_inserter(vectors));
  EXPECT_EQ(vectors.size(), 12u + 33u);
  std::ranges::copy(read_vectors("made_vectors.txt"), std::back_inserter(vectors));
  EXPECT_EQ(vectors.size(), 12u + 33u + 16u);
  std::set<std::string> proved;
  for (const Vector& v : vectors) {
    const Format& format = find_format(v.format);
    if (v.task == "dequantize") {
      const std::vector<float> want = as_floats(v.output);
      const Weight weight(format.stored, 1, int64_t(want.size()), v.input);
      EXPECT_TRUE(same_bits(dequantize(format, weight, weight.whole()), want)) << v.format;
    } else {
      EXPECT_EQ(quantize(format, as_floats(v.input), std::max(32, format.columns_multiple)), v.output) << v.format;
    }
    proved.insert(v.format);
  }
  for (const Format* format : typed_formats())
    EXPECT_TRUE(proved.contains(std::string(format->name)) || format->name == "f32") << format->name << " has no vector";
}

/// The values a LogicalGroups stands for, by the formulas of kernels/layout.h.
std::vector<float> by_formula(const Layout& l, const LogicalGroups& g) {
  std::vector<float> out;
  if (l.kind == Layout::Kind::dense) {
    for (const std::byte* row : g.elements)
      for (int64_t k = 0; k < g.slice.columns; ++k) {
        const auto half = [&] { return blocks::load_u16(row + 2 * k); };
        float value = 0;
        if (l.dense == DType::f32) std::memcpy(&value, row + 4 * k, 4);
        out.push_back(l.dense == DType::f32 ? value : l.dense == DType::f16 ? f16_to_f32(half()) : bf16_to_f32(half()));
      }
    return out;
  }
  out.resize(g.codes.size());
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t block = i / size_t(l.block), group = i / size_t(l.group);
    const auto sub = [&] {
      return l.sub == ScaleType::e4m3 ? table_numbers(CodeTable::e4m3)[g.sub[group]] : float(g.sub[group]);
    };
    const float scale = l.two_level() ? g.top[block] * sub() : g.top[block];
    if (is_number_table(l.table)) {
      out[i] = scale * table_numbers(l.table)[g.codes[i]];
    } else if (l.table != CodeTable::none) {
      out[i] = scale * float(table_values(l.table)[g.codes[i]]);
    } else if (l.real_zeros) {
      out[i] = scale * (float(g.codes[i]) - g.top_min[block]);
    } else if (!l.minimum) {
      out[i] = scale * float(int(g.codes[i]) - int(l.bias));
    } else {
      const float low = l.two_level() ? g.top_min[block] * float(g.sub_min[group]) : g.top_min[block];
      out[i] = scale * float(g.codes[i]) - low;
    }
  }
  return out;
}

TEST(Formats, GroupsStandForTheDequantizedValues) {
  for (const Format* format : typed_formats()) {
    for (const int fill : {-1, 0x00, 0xff, 0x80, 0x7f}) {
      const Weight weight = any_weight(*format, 3, 768, fill);
      LogicalGroups groups;
      format->groups(weight.group, weight.whole(), groups);
      EXPECT_TRUE(same_bits(by_formula(format->layout(weight.group), groups), dequantize(*format, weight, weight.whole())))
          << format->name << " " << fill;
    }
  }
}

TEST(Formats, SlicesAreCutsOfTheWhole) {
  for (const Format* format : typed_formats()) {
    const Weight weight = any_weight(*format, 5, 1024, -1);
    const std::vector<float> whole = dequantize(*format, weight, weight.whole());
    LogicalGroups groups;  // reused, as a loader does
    for (const Slice2 slice : {Slice2{0, 5, 0, 1024}, Slice2{2, 2, 0, 1024}, Slice2{0, 5, 512, 256}, Slice2{4, 1, 768, 256},
                               Slice2{1, 0, 0, 1024}, Slice2{5, 0, 1024, 0}}) {
      const std::vector<float> got = dequantize(*format, weight, slice);
      format->groups(weight.group, slice, groups);
      EXPECT_TRUE(same_bits(by_formula(format->layout(weight.group), groups), got)) << format->name;
      for (int64_t r = 0; r < slice.rows; ++r)
        for (int64_t c = 0; c < slice.columns; ++c)
          ASSERT_EQ(std::bit_cast<uint32_t>(got[size_t(r * slice.columns + c)]),
                    std::bit_cast<uint32_t>(whole[size_t((slice.row + r) * 1024 + slice.column + c)]))
              << format->name;
    }
  }
}

TEST(Formats, LayoutsHoldWhatGroupsGive) {
  for (const Format* format : typed_formats()) {
    const Weight weight = any_weight(*format, 2, 512, -1);
    const Layout layout = format->layout(weight.group);
    LogicalGroups g;
    format->groups(weight.group, weight.whole(), g);
    for (const uint8_t code : g.codes) ASSERT_LT(int(code), 1 << layout.bits);
    const auto in_byte = [](float part) {
      const std::span all(table_numbers(CodeTable::e4m3), 256);
      return std::ranges::any_of(all, [&](float v) { return v / 448 == part; });
    };
    for (const float top : g.top)
      ASSERT_EQ(layout.top == ScaleType::e4m3   ? (in_byte(top) ? top : NAN)
                : layout.top == ScaleType::f32  ? top
                : layout.top == ScaleType::e8m0 ? half_e8m0_to_f32(f32_to_half_e8m0(top))
                                                : f16_to_f32(f32_to_f16(top)),
                top);
    for (const float top : g.top_min) ASSERT_EQ(f16_to_f32(f32_to_f16(top)), top);
    const int last = layout.sub == ScaleType::u4 ? 15 : layout.sub == ScaleType::e4m3 ? 0x7e : 63;
    for (const int16_t sub : g.sub_min) ASSERT_TRUE(sub >= 0 && sub <= last);
    const auto [least, most] = layout.sub == ScaleType::i8 ? std::pair(-128, 127) : std::pair(0, last);
    for (const int16_t sub : g.sub) ASSERT_TRUE(sub >= least && sub <= most);
    EXPECT_EQ(format->shape(weight.group), std::pair(int64_t(2), int64_t(512)));
    EXPECT_EQ(layout.columns_multiple() % format->columns_multiple, 0);
    const Weight narrow = any_weight(*format, 1, format->columns_multiple, -1);
    EXPECT_EQ(format->layout(narrow.group).columns_multiple(), format->columns_multiple);
  }
}

// What kernels read can be taken apart again, and blocks put together: a packed model becomes a GGUF without rounding anew.
TEST(Formats, BlocksArePutTogetherAgain) {
  std::set<std::string_view> joined;
  for (const Format* format : typed_formats()) {
    if (format->join == nullptr) continue;
    for (const int fill : {-1, 0x00, 0x7f}) {
      const Weight weight = any_weight(*format, 19, 768, fill);
      const PackedMatrix packed = quant_test::pack(*format, weight.group);
      LogicalGroups apart;
      take_apart(packed, 0, 19, apart);
      std::vector<std::byte> bytes(weight.bytes.size());
      format->join(apart, 768, bytes.data());
      const Weight again(format->stored, 19, 768, bytes);
      EXPECT_TRUE(same_bits(dequantize(*format, again, again.whole()), dequantize(*format, weight, weight.whole())))
          << format->name << " " << fill;
      take_apart(packed, 17, 2, apart);
      std::vector<std::byte> two(bytes.size() / 19 * 2);
      format->join(apart, 768, two.data());
      EXPECT_TRUE(std::ranges::equal(two, std::span(bytes).last(two.size()))) << format->name;
    }
    joined.insert(format->name);
  }
  for (const Format* format : made_formats())
    EXPECT_EQ(joined.contains(format->name), tensor_type_info(format->stored).ggml >= 0 &&
                                                 format->layout(any_weight(*format, 1, 256, 0).group).kind != Layout::Kind::dense)
        << format->name;
}

// And byte for byte where blocks are as their quantizer makes them.
TEST(Formats, MadeBlocksArePutTogetherByteForByte) {
  const std::vector<float> x = quant_test::weights_like(3, 4 * 768, 0.02f);
  for (const Format* format : made_formats()) {
    if (format->join == nullptr) continue;
    const Weight weight(format->stored, 4, 768, quantize(*format, x, 768));
    LogicalGroups groups;
    format->groups(weight.group, weight.whole(), groups);
    std::vector<std::byte> bytes(weight.bytes.size());
    format->join(groups, 768, bytes.data());
    if (format->name != "q8_1")
      EXPECT_EQ(bytes, weight.bytes) << format->name;  // the sum in a block is of the scale before it is rounded
  }
}

TEST(Formats, WrongSlicesAreRefused) {
  for (const Format* format : typed_formats()) {
    const Weight weight = any_weight(*format, 2, 512, 0);
    LogicalGroups groups;
    std::vector<Slice2> wrong = {{0, 3, 0, 512}, {-1, 1, 0, 512}, {0, 1, 256, 512}, {2, 1, 0, 512}, {0, 1, INT64_MAX - 255, 512}};
    if (format->columns_multiple > 1) wrong.insert(wrong.end(), {{0, 1, 16, 256}, {0, 1, 0, 16}});
    for (const Slice2& slice : wrong) {
      const std::string text = message_of(ErrorCode::invalid_argument, [&] { format->groups(weight.group, slice, groups); });
      EXPECT_THAT(text, HasSubstr("model.layers.0.mlp.up_proj.weight"));
      float none[1];
      message_of(ErrorCode::invalid_argument, [&] { format->dequantize(weight.group, slice, none); });
    }
  }
}

TEST(Formats, AScaleThatIsNoNumberIsRefused) {
  for (const auto& [name, at] :
       {std::pair("q4_0", 0), {"q8_0", 0},   {"q4_k", 0},   {"q4_k", 2},    {"q5_k", 0},  {"q5_k", 2},
        {"q6_k", 208},        {"q4_1", 0},   {"q4_1", 2},   {"q5_0", 0},    {"q5_1", 0},  {"q5_1", 2},
        {"q8_1", 0},          {"q2_k", 80},  {"q2_k", 82},  {"q3_k", 108},  {"q8_k", 2},  {"iq4_nl", 0},
        {"iq4_xs", 0},        {"tq1_0", 52}, {"tq2_0", 64}, {"q1_0", 0},    {"q2_0", 0},  {"gptq4", 0},
        {"iq1_s", 0},         {"iq2_s", 0},  {"iq2_xs", 0}, {"iq2_xxs", 0}, {"iq3_s", 0}, {"iq3_xxs", 0}}) {
    const Format& format = find_format(name);
    for (uint16_t bits : {0x7c00, 0xfc00, 0x7e00, 0xffff}) {
      if (format.stored == TensorType::q8_k) bits |= 0x0380;  // an f32's upper half
      Weight weight = any_weight(format, 2, 512, 0);
      const int64_t size = tensor_type_info(format.stored).bytes;
      std::memcpy(weight.bytes.data() + weight.tensor.row_stride() + size + at, &bits,
                  sizeof bits);  // second block of the second row
      weight.tensor.bytes = weight.bytes;
      LogicalGroups groups;
      const std::string text = message_of(ErrorCode::corrupt, [&] { format.groups(weight.group, weight.whole(), groups); });
      EXPECT_THAT(text, HasSubstr(fmt::format("row 1, column {}", format.columns_multiple)));
      EXPECT_THAT(text, HasSubstr("model.gguf"));
      message_of(ErrorCode::corrupt, [&] { dequantize(format, weight, weight.whole()); });
      format.groups(weight.group, {0, 1, 0, 512}, groups);  // the sound row reads
    }
  }
}

TEST(Formats, TheSpreadScaleOfIq1mThatIsNoNumberIsRefused) {
  const Format& format = find_format("iq1_m");
  Weight weight = any_weight(format, 1, 512, 0x11);
  for (const int at : {53, 55}) weight.bytes[size_t(56 + at)] |= std::byte(0xf0);  // the upper two digits: 0xff..
  weight.tensor.bytes = weight.bytes;
  EXPECT_THAT(message_of(ErrorCode::corrupt, [&] { dequantize(format, weight, weight.whole()); }),
              HasSubstr("row 0, column 256"));
}

TEST(Formats, SumsThatAreNotThoseOfTheCodesAreRefused) {
  const Format& format = find_format("q8_k");
  Weight weight = any_weight(format, 2, 512, -1);
  const size_t at = 3 * 292;  // the second block of the second row
  weight.bytes[at + 260 + 9] ^= std::byte(1);
  weight.tensor.bytes = weight.bytes;
  LogicalGroups groups;
  const std::string text = message_of(ErrorCode::corrupt, [&] { format.groups(weight.group, weight.whole(), groups); });
  EXPECT_THAT(text, HasSubstr("row 1, column 256"));
  EXPECT_THAT(text, HasSubstr("sums"));
  std::fill_n(weight.bytes.begin() + std::ptrdiff_t(at), 4, std::byte(0));  // llama.cpp writes no sums where the scale is 0
  weight.tensor.bytes = weight.bytes;
  format.groups(weight.group, weight.whole(), groups);
}

TEST(Formats, AnExponentWithoutValuesIsRefused) {
  const Format& format = find_format("mxfp4");
  for (const auto& [e, good] : {std::pair(252, true), {253, false}, {254, false}, {255, false}}) {
    Weight weight = any_weight(format, 1, 64, 0x77);
    weight.bytes[17] = std::byte(e);
    weight.tensor.bytes = weight.bytes;
    if (good)
      for (const float v : dequantize(format, weight, weight.whole())) EXPECT_TRUE(std::isfinite(v));
    else
      EXPECT_THAT(message_of(ErrorCode::corrupt, [&] { dequantize(format, weight, weight.whole()); }),
                  HasSubstr("row 0, column 32"));
  }
}

TEST(Formats, AreFoundByName) {
  EXPECT_EQ(&find_format("Q4_K"), &find_format("q4_k"));
  for (const Format* format : formats()) EXPECT_EQ(&find_format(format->name), format);
  const std::string text = message_of(ErrorCode::invalid_argument, [] { find_format("q9"); });
  EXPECT_THAT(text, HasSubstr("q9"));
  for (const Format* format : formats()) EXPECT_THAT(text, HasSubstr(std::string(format->name)));
}

TEST(Formats, ClaimTheirTypeAndNothingElse) {
  for (const Format* format : typed_formats()) {
    Weight weight = any_weight(*format, 1, 256, 0);
    EXPECT_EQ(&format_of(weight.group), format);
    RawTensor other;
    weight.group.parts["bias"] = &other;
    EXPECT_EQ(&format_of(weight.group), format);
    weight.group.parts["weight_scale"] = &other;  // somebody else's weight
    const std::string text = message_of(ErrorCode::unsupported, [&] { format_of(weight.group); });
    EXPECT_THAT(text, HasSubstr("weight_scale"));
    EXPECT_THAT(text, HasSubstr(std::string(format->name)));
  }
  Weight unread(TensorType::i64, 1, 256, std::vector<std::byte>(2048));
  EXPECT_THAT(message_of(ErrorCode::unsupported, [&] { format_of(unread.group); }), HasSubstr("i64 [1, 256]"));
  EXPECT_EQ(TensorGroup{}.part("weight"), nullptr);
}

TEST(Formats, ReadVectorsAndScalars) {
  const float value = 1.5f;
  RawTensor tensor;
  tensor.name = "scale.weight";
  tensor.bytes = std::as_bytes(std::span(&value, 1));
  TensorGroup group{.name = "scale", .parts = {{"weight", &tensor}}};
  float out = 0;
  format_of(group).dequantize(group, {0, 1, 0, 1}, &out);
  EXPECT_EQ(out, value);
  EXPECT_EQ(format_of(group).shape(group), std::pair(int64_t(1), int64_t(1)));
}

}  // namespace
}  // namespace gale
