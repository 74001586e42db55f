#include "checkpoint/packed_file.h"

#include <gmock/gmock.h>

#include <cstring>

#include "checkpoint/checkpoint_builder.h"
#include "checkpoint/gguf.h"
#include "checkpoint/hash.h"
#include "checkpoint/test_files.h"

namespace gale {
namespace {

using test::Bytes;
using test::TempDir;
using ::testing::HasSubstr;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

/// A small model in memory.
std::shared_ptr<const Checkpoint> source() {
  return Checkpoint::assemble("memory", Json{{"architectures", {"LlamaForCausalLM"}}, {"hidden_size", 64}}, {});
}

/// 96 bytes as an arranged matrix, four floats as a vector, a text.
void write(const std::filesystem::path& path, const PackedInfo& more = {}) {
  PackedWriter writer(path, false);
  PackedInfo info = more;
  info.model = "memory";
  info.type = "q8_0";
  info.layouts["u8 g32 f16"] = 0x1234;
  writer.tensor("a.weight", TensorType::q8_0, {3, 32}, "u8 g32 f16", bytes_of(std::string(96, 'x')));
  writer.tensor("b", TensorType::f32, {4}, "", bytes_of(std::string(16, '\0')));
  writer.text("chat_template.jinja", "{{ messages }}");
  writer.text("tokenizer.json", "{}");
  writer.commit(info, *source());
}

std::string content(const std::filesystem::path& path) { return read_text(path); }

/// A whole file around an index: right hashes, whatever the index says. Blobs are `data` from byte 64 on.
std::string seal(const Json& index, std::string_view data = std::string(256, 'd')) {
  const std::string text = index.dump();
  std::string out(64, '\0');
  out.append(data).append(text);
  const auto preamble = packed_preamble(bytes_of(text), out.size());
  std::memcpy(out.data(), preamble.data(), preamble.size());
  return out;
}

Json good_index() {
  return {{"model", "m"},
          {"type", ""},
          {"isa", "any"},
          {"layouts", {{"f32", "00000000000000ff"}}},
          {"sources", Json::array()},
          {"config_source", "config.json"},
          {"config", Json::object()},
          {"generation_config", Json::object()},
          {"tokenizer_config", Json::object()},
          {"texts", Json::object()},
          {"tensors",
           {{{"name", "w.weight"},
             {"type", "f32"},
             {"shape", {2, 4}},
             {"layout", "f32"},
             {"at", 64},
             {"bytes", 32},
             {"hash", "0000000000000001"}},
            {{"name", "v"},
             {"type", "f32"},
             {"shape", {8}},
             {"layout", ""},
             {"at", 128},
             {"bytes", 32},
             {"hash", "0000000000000002"}}}}};
}

void expect_refused(const std::string& file, ErrorCode code, const std::string& says) {
  try {
    parse_packed(bytes_of(file), nullptr, "x.gale");
    ADD_FAILURE() << "no error, expected: " << says;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(says));
    EXPECT_THAT(error.what(), HasSubstr("x.gale"));
  }
}

TEST(PackedFile, RoundTrip) {
  const TempDir dir;
  write(dir / "m.gale");
  const auto checkpoint = Checkpoint::open(dir / "m.gale");
  ASSERT_NE(checkpoint->packed(), nullptr);
  EXPECT_EQ(checkpoint->packed()->type, "q8_0");
  EXPECT_EQ(checkpoint->packed()->model, "memory");
  EXPECT_EQ(checkpoint->config(), source()->config());
  EXPECT_EQ(checkpoint->chat_template(), "{{ messages }}");
  EXPECT_EQ(checkpoint->tokenizer_json(), "{}");
  EXPECT_EQ(checkpoint->gguf(), nullptr);
  const RawTensor* a = checkpoint->find("a.weight");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->layout, "u8 g32 f16");
  EXPECT_EQ(a->type, TensorType::q8_0);
  EXPECT_EQ(a->shape, (Shape{3, 32}));
  EXPECT_EQ(a->bytes.size(), 96u);
  EXPECT_EQ(char(a->bytes[95]), 'x');
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a->bytes.data()) % PackedWriter::kAlignment, 0u);
  EXPECT_EQ(checkpoint->find("b")->layout, "");
  verify_packed(*checkpoint);
}

TEST(PackedFile, GgufMetadataTravelsByteForByte) {
  Bytes gguf;
  gguf.raw("GGUF").u32(3).u64(0).u64(3);
  gguf.string("general.architecture").u32(8).string("llama");
  gguf.string("tokenizer.ggml.model").u32(8).string("gpt2");
  gguf.string("tokenizer.ggml.tokens").u32(9).u32(8).u64(2).string("a").string("b");
  const auto file = GgufFile::parse(bytes_of(gguf.text()), nullptr, "x.gguf");
  EXPECT_EQ(file->without_tensors(), gguf.text());
}

TEST(PackedFile, EveryCutIsRefused) {
  const TempDir dir;
  write(dir / "m.gale");
  const std::string whole = content(dir / "m.gale");
  for (size_t n = 0; n < whole.size(); n += n < 70 ? 1 : 7) expect_refused(whole.substr(0, n), ErrorCode::corrupt, "x.gale");
  expect_refused(whole + "x", ErrorCode::corrupt, "something was added");
}

TEST(PackedFile, EveryChangedByteOfPreambleAndIndexIsRefused) {
  const TempDir dir;
  write(dir / "m.gale");
  const std::string whole = content(dir / "m.gale");
  const size_t index = whole.find("{\"model\"");
  ASSERT_NE(index, whole.npos);
  for (size_t i = 0; i < whole.size(); i = i + 1 == 64 ? index : i + 1) {
    std::string broken = whole;
    broken[i] = char(broken[i] ^ 0x20);
    EXPECT_THROW(parse_packed(bytes_of(broken), nullptr, "x.gale"), Error) << "byte " << i;
  }
}

TEST(PackedFile, ChangedWeightsAreFoundWhenAsked) {
  const TempDir dir;
  write(dir / "m.gale");
  std::string broken = content(dir / "m.gale");
  broken[70] = 'y';
  dir.write("broken.gale", broken);
  const auto checkpoint = Checkpoint::open(dir / "broken.gale");
  try {
    verify_packed(*checkpoint);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("a.weight: its bytes are damaged"));
  }
}

TEST(PackedFile, OtherVersionsAndOtherKernelsAreRefused) {
  std::string file = seal(good_index());
  parse_packed(bytes_of(file), nullptr, "x.gale");  // the control
  file[8] = 2;
  expect_refused(file, ErrorCode::unsupported, "version 2, but this Gale reads version 1");
  Json index = good_index();
  index["isa"] = "amx";
  expect_refused(seal(index), ErrorCode::unsupported, "amx");
}

TEST(PackedFile, WhatContradictsItselfIsRefused) {
  const auto with = [](const char* pointer, Json value) {
    Json index = good_index();
    index[Json::json_pointer(pointer)] = std::move(value);
    return seal(index);
  };
  const auto corrupt = [&](const char* pointer, Json value, const std::string& says) {
    SCOPED_TRACE(pointer);
    expect_refused(with(pointer, std::move(value)), ErrorCode::corrupt, says);
  };
  corrupt("/tensors/0/at", 0, "not within");
  corrupt("/tensors/0/at", 72, "not within");
  corrupt("/tensors/0/at", 1 << 20, "not within");
  corrupt("/tensors/0/at", uint64_t(1) << 63, "out of range");
  corrupt("/tensors/0/at", -64, "out of range");
  corrupt("/tensors/0/at", 1.5, "no whole number");
  corrupt("/tensors/0/at", 128, "overlap");
  corrupt("/tensors/0/bytes", INT64_MAX, "not within");
  corrupt("/tensors/0/shape", {INT64_MAX, 4}, "overflows");
  corrupt("/tensors/0/shape", {int64_t(1) << 40, 4}, "does not fit");
  corrupt("/tensors/0/shape", {0, 4}, "a dimension is 0");
  corrupt("/tensors/0/shape", {1, 1, 1, 1, 1}, "dimensions");
  corrupt("/tensors/0/shape", "8", "no array");
  corrupt("/tensors/0/type", "q9_z", "not known");
  corrupt("/tensors/0/layout", "u4 g32 f16", "not among those listed");
  corrupt("/tensors/0/hash", "zz", "16 hexadecimal digits");
  corrupt("/tensors/0/name", "", "printable");
  corrupt("/tensors/0/name", std::string("a\nb"), "printable");
  corrupt("/tensors/0/name", std::string(513, 'a'), "printable");
  corrupt("/tensors/1/shape", {9}, "takes 36 bytes");
  corrupt("/tensors", Json::object(), "no array");
  corrupt("/layouts", {{"f32", 7}}, "16 hexadecimal digits");
  corrupt("/texts", {{"tokenizer.json", {{"at", 64}}}}, "missing");
  corrupt("/texts", {{"tokenizer.json", 3}}, "missing");
  corrupt("/texts", {{"tokenizer.json", {{"at", 192}, {"bytes", 4}, {"hash", "0000000000000001"}}}},
          "tokenizer.json\" is damaged");
  corrupt("/model", "a\x1b[2J", "control characters");
  corrupt("/sources", {{{"path", 3}}}, "no string");
  corrupt("/config", 3, "no object");
  Json index = good_index();
  index.erase("tensors");
  expect_refused(seal(index), ErrorCode::corrupt, "missing");
  std::string deep = "{\"model\":" + std::string(200, '[') + std::string(200, ']') + "}";
  std::string file(64, '\0');
  file += deep;
  std::memcpy(file.data(), packed_preamble(bytes_of(deep), file.size()).data(), 64);
  expect_refused(file, ErrorCode::corrupt, "nested deeper");
  Json wide = good_index();
  for (int i = 0; i <= 1 << 15; ++i)
    wide["config"].get_ref<Json::object_t&>().std::vector<std::pair<const std::string, Json>>::emplace_back(std::to_string(i), 0);
  expect_refused(seal(wide), ErrorCode::corrupt, "more than 32768 keys");
}

// Nothing but the texts holds on to the file.
TEST(PackedFile, TextsOfAFileWithoutTensorsStayReadable) {
  const TempDir dir;
  {
    PackedWriter writer(dir / "m.gale", false);
    writer.text("tokenizer.json", "{\"a\": 1}");
    writer.commit({}, *source());
  }
  EXPECT_EQ(Checkpoint::open(dir / "m.gale")->tokenizer_json(), "{\"a\": 1}");
}

TEST(PackedFile, ATensorTwiceIsRefused) {
  Json index = good_index();
  index["tensors"][1]["name"] = "w.weight";
  const std::string file = seal(index);
  EXPECT_THROW(CheckpointBuilder::from_packed(bytes_of(file), nullptr, "x.gale"), Error);
}

/// A packed file beside a source of three megabytes.
class Stale : public ::testing::Test {
 protected:
  Stale() : text_(3 << 20, 'a') {
    std::filesystem::create_directory(dir_ / "from");
    dir_.write("from/model.bin", text_);
    PackedInfo info;
    info.sources = {fingerprint(dir_ / "from/model.bin")};
    write(dir_ / "m.gale", info);
  }
  void expect(const std::string& says) {
    try {
      Checkpoint::open(dir_ / "m.gale");
      EXPECT_EQ(says, "") << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::corrupt);
      EXPECT_NE(says, "") << error.what();
      EXPECT_THAT(error.what(), HasSubstr("m.gale is stale"));
      EXPECT_THAT(error.what(), HasSubstr(says));
      EXPECT_THAT(error.what(), HasSubstr("gale quantize --packed"));
    }
  }
  void rewrite(const std::string& text, bool same_time) {
    const auto path = dir_ / "from/model.bin";
    const auto time = std::filesystem::last_write_time(path);
    dir_.write("from/model.bin", text);
    std::filesystem::last_write_time(path, same_time ? time : time + std::chrono::seconds(5));
  }
  TempDir dir_;
  std::string text_;
};

TEST_F(Stale, AnUnchangedSourceIsFine) {
  expect("");
  rewrite(text_, false);  // only its time
  expect("");
}

TEST_F(Stale, ASourceThatIsGoneIsNotMissed) {
  std::filesystem::remove_all(dir_ / "from");
  expect("");
}

TEST_F(Stale, AnotherSize) {
  rewrite(text_ + "b", false);
  expect("its size is 3145729 bytes and was 3145728");
}

TEST_F(Stale, OneByteAndALaterTime) {
  text_[5000] = 'b';  // in the first 64 KB
  rewrite(text_, true);
  expect("its content is another");
  text_[5000] = 'a';
  text_[2000000] = 'b';  // between the pages that are sampled: only the time tells at once
  rewrite(text_, false);
  expect("its content is another");
}

TEST_F(Stale, VerifyReadsAll) {
  size_t at = 2000000;
  text_[at] = 'b';
  rewrite(text_, true);
  const auto checkpoint = Checkpoint::open(dir_ / "m.gale");  // the price of a fast start: the time is as it was
  EXPECT_THROW(verify_packed(*checkpoint), Error);
}

TEST_F(Stale, ASourceThatMovedAlong) {
  std::filesystem::rename(dir_ / "from/model.bin", dir_ / "model.bin");
  expect("");
  dir_.write("model.bin", text_ + "b");
  expect("its size is");
}

}  // namespace
}  // namespace gale
