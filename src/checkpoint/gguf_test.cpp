#include "checkpoint/gguf.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <fstream>

#include "base/file.h"
#include "checkpoint/test_files.h"

namespace gale {
namespace {

using test::Bytes;
using test::expect_error;
using Width = GgufWriter::Width;
using testing::ElementsAre;

constexpr const char* kSample = GALE_SOURCE_DIR "/src/checkpoint/testdata/python_writer.gguf";

// Written by the reference implementation, gguf-py 0.19.
TEST(Gguf, ReadsWhatPythonWrites) {
  const auto file = GgufFile::open(kSample);
  EXPECT_EQ(file->version(), 3);
  EXPECT_EQ(*file->text("general.architecture"), "llama");
  EXPECT_EQ(file->integer("llama.block_count"), 1);
  EXPECT_EQ(file->number("llama.rope.freq_base"), 500000.0);
  EXPECT_EQ(file->boolean("tokenizer.ggml.add_bos_token"), true);
  EXPECT_EQ(file->texts("tokenizer.ggml.tokens")->size(), 16u);
  EXPECT_EQ(file->texts("tokenizer.ggml.tokens")->at(15), "t13");
  EXPECT_EQ(file->numbers("tokenizer.ggml.scores")->at(3), 1.5);
  EXPECT_EQ(file->integers("tokenizer.ggml.token_type")->at(0), 3);
  EXPECT_EQ(file->integer("x.u8"), 255);
  EXPECT_EQ(file->integer("x.i8"), -128);
  EXPECT_EQ(file->integer("x.u16"), 65535);
  EXPECT_EQ(file->integer("x.i16"), -32768);
  EXPECT_EQ(file->integer("x.i32"), INT32_MIN);
  EXPECT_EQ(file->integer("x.u64"), INT64_MAX);
  EXPECT_EQ(file->integer("x.i64"), INT64_MIN);
  EXPECT_EQ(file->number("x.f64"), 0.1);
  EXPECT_EQ(std::get<std::vector<bool>>(file->metadata().find("x.bools")->second), (std::vector<bool>{true, false, true}));
  EXPECT_THAT(*file->numbers("x.floats"), ElementsAre(1.5, -2.5));
  const RawTensor& embedding = file->tensors().at(0);
  EXPECT_EQ(embedding.source, "python_writer.gguf: token_embd.weight");
  EXPECT_EQ(embedding.shape, (Shape{16, 32}));
  float value = 0;
  std::memcpy(&value, embedding.row(3) + 4, 4);
  EXPECT_EQ(value, 97.0f);
}

TEST(Gguf, LookupsSayWhatTheyFound) {
  const auto file = GgufFile::open(kSample);
  EXPECT_EQ(file->text("no.such.key"), nullptr);
  EXPECT_EQ(file->integer("no.such.key"), std::nullopt);
  EXPECT_EQ(file->number("x.u8"), 255.0);  // an integer will do where a number is wanted
  expect_error(ErrorCode::corrupt, "python_writer.gguf: key 'x.u8' holds an integer, expected a string",
               [&] { file->text("x.u8"); });
  expect_error(ErrorCode::corrupt, "expected an integer", [&] { file->integer("x.f64"); });
}

void write_every_width(const std::filesystem::path& path) {
  GgufWriter out(path);
  out.set("general.architecture", std::string("test"), Width::string);
  out.set("u32", int64_t(UINT32_MAX), Width::u32);
  out.set("i32", int64_t(-5), Width::i32);
  out.set("u64", int64_t(1) << 40, Width::u64);
  out.set("f32", 0.25, Width::f32);
  out.set("boolean", false, Width::boolean);
  out.set("boolean", true, Width::boolean);  // replaces
  out.set("f32s", std::vector<double>{1, 2.5}, Width::f32_array);
  out.set("i32s", std::vector<int64_t>{-1, 2}, Width::i32_array);
  out.set("u32s", std::vector<int64_t>{1, 2}, Width::u32_array);
  out.set("strings", std::vector<std::string>{"", "a\0b"}, Width::string_array);
  out.set("booleans", std::vector<bool>{false, true}, Width::boolean_array);
  out.declare("a", TensorType::q8_0, {2, 3, 32});
  out.declare("b", TensorType::f32, {3});
  const std::string a(6 * 34, 'a'), b(12, 'b');
  out.data(test::as_bytes(a).first(50));
  out.data(test::as_bytes(a).subspan(50));
  out.data(test::as_bytes(b));
  out.commit();
}

TEST(GgufWriter, RoundTrip) {
  test::TempDir dir;
  write_every_width(dir / "x.gguf");
  const auto file = GgufFile::open(dir / "x.gguf");
  EXPECT_EQ(file->metadata().size(), 11u);
  EXPECT_EQ(file->integer("u32"), UINT32_MAX);
  EXPECT_EQ(file->integer("i32"), -5);
  EXPECT_EQ(file->integer("u64"), int64_t(1) << 40);
  EXPECT_EQ(file->number("f32"), 0.25);
  EXPECT_EQ(file->boolean("boolean"), true);
  EXPECT_THAT(*file->numbers("f32s"), ElementsAre(1, 2.5));
  EXPECT_THAT(*file->integers("i32s"), ElementsAre(-1, 2));
  EXPECT_THAT(*file->integers("u32s"), ElementsAre(1, 2));
  EXPECT_EQ(file->texts("strings")->size(), 2u);
  ASSERT_EQ(file->tensors().size(), 2u);
  EXPECT_EQ(file->tensors()[0].shape, (Shape{2, 3, 32}));
  EXPECT_EQ(file->tensors()[0].type, TensorType::q8_0);
  EXPECT_EQ(file->tensors()[0].row_stride(), 34);
  EXPECT_EQ(char(file->tensors()[1].bytes[11]), 'b');
  EXPECT_EQ(std::filesystem::file_size(dir / "x.gguf") % 32, 0u);
}

TEST(GgufWriter, LeavesNothingWithoutCommit) {
  test::TempDir dir;
  {
    GgufWriter out(dir / "x.gguf");
    out.declare("a", TensorType::f32, {8});
    out.data(test::as_bytes("1234"));
    expect_error(ErrorCode::internal, "ends inside tensor a", [&] { out.commit(); });
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(GgufWriter, RefusesMisuse) {
  test::TempDir dir;
  GgufWriter out(dir / "x.gguf");
  expect_error(ErrorCode::internal, "has no type f8_e4m3", [&] { out.declare("a", TensorType::f8_e4m3, {8}); });
  expect_error(ErrorCode::unsupported, "64 bytes", [&] { out.declare(std::string(64, 'n'), TensorType::f32, {8}); });
  expect_error(ErrorCode::corrupt, "blocks hold 256", [&] { out.declare("a", TensorType::q4_k, {100}); });
  out.declare("a", TensorType::f32, {1});
  expect_error(ErrorCode::internal, "twice", [&] { out.declare("a", TensorType::f32, {8}); });
  expect_error(ErrorCode::internal, "4 were declared", [&] { out.data(test::as_bytes("12345")); });
  out.data(test::as_bytes("1234"));
  expect_error(ErrorCode::internal, "after the first data", [&] { out.set("k", true, Width::boolean); });
  expect_error(ErrorCode::internal, "after the last", [&] { out.data(test::as_bytes("1")); });
}

TEST(GgufWriter, ValuesMustFitTheirWidth) {
  test::TempDir dir;
  GgufWriter negative(dir / "a.gguf"), other(dir / "b.gguf");
  negative.set("k", int64_t(-1), Width::u32);
  expect_error(ErrorCode::internal, "does not fit", [&] { negative.commit(); });
  other.set("k", true, Width::u32);
  expect_error(ErrorCode::internal, "does not match", [&] { other.commit(); });
}

TEST(GgufWriter, UsualWidths) {
  EXPECT_EQ(GgufWriter::usual_width(int64_t(7)), Width::u32);
  EXPECT_EQ(GgufWriter::usual_width(int64_t(-7)), Width::i32);
  EXPECT_EQ(GgufWriter::usual_width(int64_t(1) << 40), Width::u64);
  EXPECT_EQ(GgufWriter::usual_width(std::vector<std::string>{}), Width::string_array);
  EXPECT_EQ(GgufWriter::usual_width(std::vector<bool>{}), Width::boolean_array);
}

/// One split of a set, with one tensor of 4 bytes.
std::string split(int no, int count, int total, std::string_view tensor) {
  Bytes out;
  out.raw("GGUF").u32(3).u64(1).u64(4);
  out.string("general.architecture").u32(8).string("test");
  out.string("split.no").u32(2).number(uint16_t(no));
  out.string("split.count").u32(2).number(uint16_t(count));
  out.string("split.tensors.count").u32(5).u32(uint64_t(total));
  out.string(tensor).u32(1).u64(4).u32(24).u64(0);
  return out.pad(32).raw(std::string(4, char('0' + no))).text();
}

TEST(GgufSplits, AnyPartOpensAll) {
  test::TempDir dir;
  for (int i = 0; i < 3; ++i) dir.write(fmt::format("m-{:05}-of-00003.gguf", i + 1), split(i, 3, 3, fmt::format("t{}", i)));
  for (const char* part : {"m-00001-of-00003.gguf", "m-00003-of-00003.gguf"}) {
    const auto file = GgufFile::open(dir / part);
    ASSERT_EQ(file->tensors().size(), 3u);
    EXPECT_EQ(char(file->tensors()[2].bytes[0]), '2');
    EXPECT_EQ(file->tensors()[1].source, "m-00002-of-00003.gguf: t1");
    EXPECT_EQ(file->integer("split.no"), 0);
  }
}

TEST(GgufSplits, ErrorsNameTheFile) {
  test::TempDir dir;
  dir.write("m-00001-of-00002.gguf", split(0, 2, 2, "a"));
  const auto open = [&] { GgufFile::open(dir / "m-00001-of-00002.gguf"); };
  expect_error(ErrorCode::not_found, "m-00002-of-00002.gguf is missing", open);
  dir.write("m-00002-of-00002.gguf", split(0, 2, 2, "b"));
  expect_error(ErrorCode::corrupt, "split 0 of 2, expected 1 of 2", open);
  dir.write("m-00002-of-00002.gguf", split(1, 2, 2, "a"));
  expect_error(ErrorCode::corrupt, "another split has the same tensor", open);
  dir.write("m-00002-of-00002.gguf", split(1, 2, 2, "b"));
  EXPECT_EQ(GgufFile::open(dir / "m-00001-of-00002.gguf")->tensors().size(), 2u);
  dir.write("m-00001-of-00002.gguf", split(0, 2, 7, "a"));
  expect_error(ErrorCode::corrupt, "split.tensors.count is 7", open);
  dir.write("renamed.gguf", split(0, 2, 2, "a"));
  expect_error(ErrorCode::corrupt, "name does not end in", [&] { GgufFile::open(dir / "renamed.gguf"); });
}

TEST(Gguf, LargeVocabularyInOnePass) {
  constexpr int n = 128256;
  Bytes bytes;
  bytes.raw("GGUF").u32(3).u64(0).u64(1).string("tokenizer.ggml.tokens").u32(9).u32(8).u64(n);
  for (int i = 0; i < n; ++i) bytes.string("token" + std::to_string(i));
  const auto file = GgufFile::parse(test::as_bytes(bytes.text()), nullptr, "big");
  EXPECT_EQ(file->texts("tokenizer.ggml.tokens")->back(), "token128255");
}

}  // namespace
}  // namespace gale
