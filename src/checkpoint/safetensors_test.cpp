#include "checkpoint/safetensors.h"

#include <gmock/gmock.h>

#include "base/rng.h"
#include "checkpoint/test_files.h"

namespace gale {
namespace {

using test::expect_error;
using test::safetensors_bytes;

std::vector<RawTensor> parse(std::string_view file) { return parse_safetensors(test::as_bytes(file), nullptr, "a.safetensors"); }

const std::string kTwo = R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]},)"
                         R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   )";

void expect_corrupt(std::string_view header, std::string_view part, size_t data = 16) {
  const std::string file = safetensors_bytes(header, std::string(data, 'x'));
  expect_error(ErrorCode::corrupt, part, [&] { parse(file); });
}

TEST(Safetensors, Reads) {
  const std::string file = safetensors_bytes(kTwo, "0123456789abcdef");
  const auto tensors = parse(file);
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "b");
  EXPECT_EQ(tensors[0].type, TensorType::f16);
  EXPECT_EQ(tensors[0].shape, (Shape{2, 3}));
  EXPECT_EQ(tensors[0].source, "a.safetensors: b");
  EXPECT_EQ(char(tensors[0].bytes[0]), '4');
  EXPECT_EQ(tensors[0].bytes.size(), 12u);
  EXPECT_EQ(tensors[1].shape, Shape{});
  EXPECT_EQ(tensors[1].elements(), 1);
}

TEST(Safetensors, EmptyFileOfTensorsAndZeroSizes) {
  EXPECT_TRUE(parse(safetensors_bytes("{}", "")).empty());
  const auto tensors = parse(safetensors_bytes(R"({"e":{"dtype":"I64","shape":[0,5],"data_offsets":[0,0]}})", ""));
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_EQ(tensors[0].elements(), 0);
}

TEST(Safetensors, FiveDimensionsFoldIntoFour) {
  const auto tensors =
      parse(safetensors_bytes(R"({"c":{"dtype":"U8","shape":[2,1,2,2,2],"data_offsets":[0,16]}})", std::string(16, 'x')));
  EXPECT_EQ(tensors[0].shape, (Shape{2, 1, 2, 4}));
}

// What fuzzing starts from must get past the header.
TEST(Safetensors, TheFuzzersSeedReads) {
  const auto tensors = open_safetensors(GALE_SOURCE_DIR "/src/checkpoint/testdata/tiny.safetensors");
  ASSERT_EQ(tensors.size(), 5u);
  EXPECT_EQ(tensors[0].name, "a.weight");
  EXPECT_EQ(tensors[0].type, TensorType::bf16);
  EXPECT_EQ(tensors[4].shape, (Shape{1, 2, 3}));
  EXPECT_EQ(int(tensors[4].bytes.back()), 27);
}

TEST(MalformedSafetensors, Lengths) {
  expect_error(ErrorCode::corrupt, "too few", [] { parse("1234567"); });
  expect_error(ErrorCode::corrupt, "limit", [] { parse(test::Bytes().u64(UINT64_MAX).raw("{}").text()); });
  expect_error(ErrorCode::corrupt, "leaves the file", [] { parse(test::Bytes().u64(3).raw("{}").text()); });
  expect_error(ErrorCode::corrupt, "does not begin", [] { parse(test::Bytes().u64(3).raw(" {}").text()); });
}

TEST(MalformedSafetensors, Json) {
  expect_corrupt("{", "not valid JSON");
  expect_corrupt("{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}", "not valid JSON");
  expect_corrupt(R"({"a":3})", "lacks dtype");
  expect_corrupt(R"({"a":{"dtype":"F32","shape":[4]}})", "lacks dtype");
  expect_corrupt(R"({"a":{"dtype":7,"shape":[4],"data_offsets":[0,16]}})", "dtype is no string");
  expect_corrupt(R"({"a":{"dtype":"F32","shape":"4","data_offsets":[0,16]}})", "shape is no array");
  expect_corrupt(R"({"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}})", "shape");
  expect_corrupt(R"({"a":{"dtype":"F32","shape":[4.0],"data_offsets":[0,16]}})", "shape");
  expect_corrupt(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16,17]}})", "no pair");
  expect_corrupt(R"({"__metadata__":{"a":1}})", "__metadata__");
  expect_corrupt(R"({"":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", "name");
  expect_corrupt("{\"\xff\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", "not valid JSON");
}

TEST(MalformedSafetensors, UnknownDtype) {
  const std::string file = safetensors_bytes(R"({"a":{"dtype":"F4","shape":[32],"data_offsets":[0,16]}})", std::string(16, 'x'));
  expect_error(ErrorCode::unsupported, "a.safetensors: a: dtype F4 is unknown; known are F32", [&] { parse(file); });
}

TEST(MalformedSafetensors, OffsetsAndSizes) {
  expect_corrupt(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,20]}})", "leave the 16 bytes");
  expect_corrupt(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}})", "data_offsets");
  expect_corrupt(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,18446744073709551615]}})", "data_offsets");
  expect_corrupt(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,16]}})", "needs 12 bytes");
  expect_corrupt(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}})", "overflows");
  expect_corrupt(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,16]}})", "overflows");
  expect_corrupt(R"({"a":{"dtype":"F32","shape":[0,9223372036854775807,9223372036854775807,3,3,3],"data_offsets":[0,0]}})",
                 "overflows");
}

TEST(MalformedSafetensors, HolesAndOverlaps) {
  expect_corrupt(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})", "end at byte 8 of 16");
  expect_corrupt(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})", "end at 0");
  expect_corrupt(R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},"b":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})",
                 "b: data begins at byte 8");
  expect_corrupt(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})",
                 "twice");
}

TEST(MalformedSafetensors, TruncatedAnywhere) {
  const std::string file = safetensors_bytes(kTwo, "0123456789abcdef");
  for (size_t n = 0; n < file.size(); ++n) EXPECT_THROW(parse(std::string_view(file).substr(0, n)), Error) << n;
}

TEST(MalformedSafetensors, BitFlips) {
  const std::string file = safetensors_bytes(kTwo, "0123456789abcdef");
  SplitMix64 random{7};
  int errors = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string bad = file;
    for (int flips = 0; flips <= round % 4; ++flips) bad[random() % bad.size()] ^= char(1 << random() % 8);
    try {
      for (const RawTensor& tensor : parse(bad)) ASSERT_LE(tensor.bytes.size(), bad.size());
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 1000);
}

const std::string kA = safetensors_bytes(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "aA");
const std::string kB = safetensors_bytes(
    R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})", "bBxX");

TEST(SafetensorsIndex, ReadsShardsAndDecidesTwins) {
  test::TempDir dir;
  dir.write("1.safetensors", kA);
  dir.write("2.safetensors", kB);
  dir.write("index.json", R"({"metadata":{"total_size":4},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  const auto tensors = open_safetensors_index(dir / "index.json");
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(char(tensors[0].bytes[0]), 'a');
  EXPECT_EQ(tensors[1].source, "2.safetensors: b");
}

TEST(SafetensorsIndex, NamesWhatIsMissing) {
  test::TempDir dir;
  dir.write("1.safetensors", kA);
  const auto with = [&](const std::string& map) {
    dir.write("index.json", "{\"weight_map\":" + map + "}");
    open_safetensors_index(dir / "index.json");
  };
  expect_error(ErrorCode::not_found, "2.safetensors is missing", [&] { with(R"({"a":"1.safetensors","b":"2.safetensors"})"); });
  expect_error(ErrorCode::corrupt, "'c' should lie in 1.safetensors",
               [&] { with(R"({"a":"1.safetensors","c":"1.safetensors"})"); });
  expect_error(ErrorCode::corrupt, "twice", [&] { with(R"({"a":"1.safetensors","a":"1.safetensors"})"); });
  expect_error(ErrorCode::corrupt, "weight_map", [&] { with("[]"); });
  expect_error(ErrorCode::corrupt, "no string", [&] { with(R"({"a":1})"); });
}

TEST(SafetensorsIndex, RefusesPathsOutOfTheFolder) {
  test::TempDir dir;
  dir.write("1.safetensors", kA);
  for (const char* name :
       {"../1.safetensors", "/etc/passwd", "..", ".", "", "a\\\\b", "sub/1.safetensors", "1.safetensors\\u0000x"}) {
    dir.write("index.json", std::string(R"({"weight_map":{"a":")") + name + "\"}}");
    expect_error(ErrorCode::corrupt, "elsewhere than into a file of the same folder",
                 [&] { open_safetensors_index(dir / "index.json"); });
  }
}

}  // namespace
}  // namespace gale
