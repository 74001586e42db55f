// One test for each class of malformed file that other engines' GGUF readers fell over. The bytes are made here.
#include <gmock/gmock.h>

#include "base/rng.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_names.h"
#include "checkpoint/test_files.h"

namespace gale {
namespace {

using test::Bytes;
using test::expect_error;

enum : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

std::shared_ptr<const GgufFile> parse(std::string_view file) {
  return GgufFile::parse(test::as_bytes(file), nullptr, "bad.gguf");
}

void expect_corrupt(const Bytes& file, std::string_view part) {
  expect_error(ErrorCode::corrupt, part, [&] { parse(file.text()); });
}

Bytes header(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
  return Bytes().raw("GGUF").u32(version).u64(tensors).u64(entries);
}

/// A file with one tensor "w" and 64 bytes of data.
Bytes one_tensor(std::initializer_list<uint64_t> dims, uint32_t type, uint64_t offset) {
  Bytes out = header(1, 0);
  out.string("w").u32(dims.size());
  for (const uint64_t dim : dims) out.u64(dim);
  return out.u32(type).u64(offset).pad(32).raw(std::string(64, 'd'));
}

/// A small valid file with every kind of metadata and two tensors.
std::string valid() {
  Bytes out = header(2, 15);
  out.string("general.architecture").u32(kString).string("llama");
  out.string("general.alignment").u32(kU32).u32(64);
  out.string("u8").u32(kU8).u8(1).string("i8").u32(kI8).u8(1).string("u16").u32(kU16).number(uint16_t(1));
  out.string("i16").u32(kI16).number(int16_t(1)).string("i32").u32(kI32).u32(1).string("f32").u32(kF32).f32(1);
  out.string("bool").u32(kBool).u8(1).string("u64").u32(kU64).u64(1).string("i64").u32(kI64).u64(1);
  out.string("f64").u32(kF64).number(1.0);
  out.string("tokens").u32(kArray).u32(kString).u64(2).string("a").string("bc");
  out.string("scores").u32(kArray).u32(kF32).u64(2).f32(1).f32(2);
  out.string("flags").u32(kArray).u32(kBool).u64(2).u8(0).u8(1);
  out.string("token_embd.weight").u32(2).u64(32).u64(2).u32(8).u64(0);  // q8_0: 68 bytes
  out.string("blk.0.attn_q.weight").u32(1).u64(4).u32(0).u64(128);
  return out.pad(64).raw(std::string(128 + 16, 'd')).text();
}

TEST(MalformedGguf, TheValidOneIsValid) {
  const std::string bytes = valid();
  const auto file = parse(bytes);
  EXPECT_EQ(file->metadata().size(), 15u);
  EXPECT_EQ(file->tensors()[0].bytes.size(), 68u);
  EXPECT_EQ(file->tensors()[1].bytes.data() - file->tensors()[0].bytes.data(), 128);
}

TEST(MalformedGguf, MagicAndVersions) {
  expect_corrupt(Bytes().raw("PK\3\4").u32(3), "instead of GGUF");
  expect_corrupt(Bytes(), "cut short");
  expect_error(ErrorCode::unsupported, "before August 2023", [] { parse(Bytes().u32(0x67676a74).u32(3).text()); });
  expect_error(ErrorCode::unsupported, "version 1", [] { parse(header(0, 0, 1).text()); });
  expect_error(ErrorCode::unsupported, "version 4 is unknown", [] { parse(header(0, 0, 4).text()); });
  expect_error(ErrorCode::unsupported, "big-endian file (version 3)", [] { parse(header(0, 0, 0x03000000).text()); });
  expect_corrupt(header(0, 0, 0), "version 0");
  EXPECT_EQ(parse(header(0, 0, 2).text())->version(), 2);
}

TEST(MalformedGguf, Cve2024_23605_MetadataCount) {
  expect_corrupt(header(0, UINT64_MAX), "metadata entries is 18446744073709551615");
  expect_corrupt(header(0, uint64_t(1) << 60), "metadata entries");
  expect_corrupt(header(0, 2).string("a").u32(kU32).u32(1), "metadata entries is 2");
}

TEST(MalformedGguf, Cve2024_21836_TensorCount) {
  expect_corrupt(header(UINT64_MAX, 0), "number of tensors is 18446744073709551615");
  expect_corrupt(header(uint64_t(1) << 61, 0), "number of tensors");
  expect_corrupt(header(3, 0).raw(std::string(50, '\0')), "number of tensors is 3");
}

TEST(MalformedGguf, Cve2024_23496_StringLength) {
  expect_corrupt(header(0, 1).u64(UINT64_MAX).raw(std::string(64, 'x')), "a string of 18446744073709551615 bytes");
  expect_corrupt(header(0, 1).u64(65).raw(std::string(64, 'x')), "cut short");
  expect_corrupt(header(0, 1).string("a").u32(kString).u64(UINT64_MAX - 7).raw("x"), "a string of");
}

// A vocabulary token longer than INT32_MAX became a negative length.
TEST(MalformedGguf, Cve2025_49847_TokenAboveInt32) {
  expect_corrupt(header(0, 1).string("tokenizer.ggml.tokens").u32(kArray).u32(kString).u64(1).u64(0x80000000u).raw("abc"),
                 "2147483648 bytes");
}

TEST(MalformedGguf, Cve2024_21825_ArrayLength) {
  const auto array = [](uint32_t type, uint64_t count) {
    return header(0, 1).string("a").u32(kArray).u32(type).u64(count).raw(std::string(64, '\0'));
  };
  expect_corrupt(array(kU32, UINT64_MAX), "allowed are");
  expect_corrupt(array(kF64, uint64_t(1) << 61), "allowed are");  // times 8 wraps to 0
  expect_corrupt(array(kU32, 17), "64 bytes are left");
  expect_corrupt(array(kString, uint64_t(1) << 27), "64 bytes are left");
  expect_corrupt(array(kBool, 65), "64 bytes are left");
  expect_corrupt(array(13, 1), "unknown type 13");
}

TEST(MalformedGguf, NestedArrays) {
  const Bytes file = header(0, 1).string("a").u32(kArray).u32(kArray).u64(1).u32(kU8).u64(1).u8(0);
  expect_error(ErrorCode::unsupported, "array of arrays", [&] { parse(file.text()); });
}

TEST(MalformedGguf, KeyTypesAndValues) {
  expect_corrupt(header(0, 1).string("a").u32(13).u64(0), "unknown type 13");
  expect_corrupt(header(0, 1).string("a").u32(UINT32_MAX).u64(0), "unknown type");
  expect_corrupt(header(0, 1).string("a").u32(kBool).u8(2).raw("      "), "0 or 1");
  expect_corrupt(header(0, 1).string("a").u32(kU64).u64(uint64_t(1) << 63), "above 2^63-1");
}

TEST(MalformedGguf, Cve2024_41130_EmptyAndNullNames) {
  expect_corrupt(header(0, 1).string("").u32(kU64).u64(0), "has 0 bytes");
  expect_corrupt(header(0, 1).string(std::string_view("a\0b", 3)).u32(kU32).u32(0), "not printable");
  expect_corrupt(header(1, 0).string("").u32(1).u64(1).u32(0).u64(0).raw("abcd"), "a tensor's name has 0 bytes");
  expect_corrupt(header(1, 0).string("w\n").u32(1).u64(1).u32(0).u64(0), "not printable");
  expect_corrupt(header(1, 0).string(std::string(1025, 'n')).u32(1).u64(1).u32(0).u64(0), "1025 bytes");
}

TEST(MalformedGguf, Duplicates) {
  expect_corrupt(header(0, 2).string("a").u32(kU32).u32(1).string("a").u32(kU32).u32(1), "'a' occurs twice");
  Bytes file = header(2, 0);
  file.string("w").u32(1).u64(8).u32(0).u64(0).string("w").u32(1).u64(8).u32(0).u64(32);
  expect_corrupt(file.pad(32).raw(std::string(64, 'd')), "w: the name occurs twice");
}

TEST(MalformedGguf, Cve2024_21802_Dimensions) {
  expect_corrupt(one_tensor({1, 1, 1, 1, 1}, 0, 0), "5 dimensions");
  expect_corrupt(one_tensor({0}, 0, 0), "dimension 0 is 0");
  expect_corrupt(one_tensor({4, 0}, 0, 0), "dimension 1 is 0");
  expect_corrupt(one_tensor({UINT64_MAX}, 0, 0), "dimension 0 is 18446744073709551615");
  Bytes many = header(1, 0);
  many.string("w").u32(UINT32_MAX);
  expect_corrupt(many.raw(std::string(64, '\0')), "4294967295 dimensions");
}

// The product of dimensions wraps to a small number.
TEST(MalformedGguf, Cve2025_53630_TensorSizesOverflow) {
  expect_corrupt(one_tensor({uint64_t(1) << 32, uint64_t(1) << 32}, 0, 0), "overflows");
  expect_corrupt(one_tensor({uint64_t(1) << 62, 4}, 24, 0), "overflows");
  expect_corrupt(one_tensor({uint64_t(1) << 16, uint64_t(1) << 16, uint64_t(1) << 16, uint64_t(1) << 16}, 24, 0), "overflows");
}

// Several tensors, each of a legal size, whose sum wraps.
TEST(MalformedGguf, Cve2026_27940_SumOfSizesOverflows) {
  Bytes file = header(3, 0);
  for (const char* name : {"a", "b", "c"}) file.string(name).u32(1).u64(uint64_t(1) << 62).u32(24).u64(0);
  expect_corrupt(file.pad(32).raw(std::string(64, 'd')), "a: i8 of shape [4611686018427387904]");
}

TEST(MalformedGguf, Cve2026_33298_ExabyteTensor) {
  expect_corrupt(one_tensor({uint64_t(1) << 60}, 0, 0), "takes 4611686018427387904 bytes");
  expect_corrupt(one_tensor({uint64_t(1) << 61}, 0, 0), "overflows");
  expect_corrupt(one_tensor({uint64_t(1) << 62}, 28, 0), "overflows");
}

// "Bleeding Llama": a tensor longer than the file read what lay behind it.
TEST(MalformedGguf, Cve2026_7482_TensorBeyondFile) {
  EXPECT_EQ(parse(one_tensor({16}, 0, 0).text())->tensors()[0].bytes.size(), 64u);
  expect_corrupt(one_tensor({17}, 0, 0), "takes 68 bytes at offset 0, but the file has 64");
  expect_corrupt(one_tensor({16}, 0, 32), "at offset 32");
  expect_corrupt(one_tensor({1}, 0, 96), "at offset 96");
  expect_corrupt(header(1, 0).string("w").u32(1).u64(1).u32(0).u64(0), "has 0 bytes of data");
}

TEST(MalformedGguf, Cve2024_12055_Offsets) {
  expect_corrupt(one_tensor({1}, 0, 1), "no multiple of the alignment 32");
  expect_corrupt(one_tensor({1}, 0, UINT64_MAX - 31), "beyond any file");
  expect_corrupt(one_tensor({16}, 0, (uint64_t(1) << 63) - 32), "at offset");
  Bytes file = header(2, 0);
  file.string("a").u32(1).u64(16).u32(0).u64(0).string("b").u32(1).u64(8).u32(0).u64(32);
  expect_corrupt(file.pad(32).raw(std::string(64, 'd')), "b overlaps a at offset 32");
}

TEST(MalformedGguf, Cve2025_0317_Alignment) {
  for (const uint64_t bad : {uint64_t(0), uint64_t(3), uint64_t(33), uint64_t(0x80000000u), uint64_t(0xffffffffu)})
    expect_corrupt(header(0, 1).string("general.alignment").u32(kU32).u32(bad), "power of two");
  expect_corrupt(header(0, 1).string("general.alignment").u32(kI32).u32(uint32_t(-32)), "power of two");
  expect_corrupt(header(0, 1).string("general.alignment").u32(kString).string("32"), "expected an integer");
}

TEST(MalformedGguf, TensorTypes) {
  for (const uint32_t id : {4u, 5u, 31u, 36u, 1000u, UINT32_MAX})
    expect_error(ErrorCode::unsupported, "tensor type", [&] { parse(one_tensor({32}, id, 0).text()); });
  expect_corrupt(one_tensor({33}, 8, 0), "blocks hold 32");
}

// A head count of zero, or rows that the heads do not divide, in a file that is well formed otherwise.
TEST(MalformedGguf, Cve2024_8063_DivisionByZeroInMetadata) {
  const auto translate = [](uint32_t heads, uint64_t rows) {
    Bytes out = header(2, 6);
    out.string("general.architecture").u32(kString).string("llama");
    out.string("llama.attention.head_count").u32(kU32).u32(heads).string("llama.embedding_length").u32(kU32).u32(8);
    out.string("llama.block_count").u32(kU32).u32(1).string("llama.attention.layer_norm_rms_epsilon").u32(kF32).f32(1e-5);
    out.string("llama.attention.key_length").u32(kU32).u32(4);
    out.string("token_embd.weight")
        .u32(2)
        .u64(8)
        .u64(2)
        .u32(24)
        .u64(0)
        .string("blk.0.attn_q.weight")
        .u32(2)
        .u64(8)
        .u64(rows)
        .u32(24)
        .u64(32);
    const std::string bytes = out.pad(32).raw(std::string(256, 'd')).text();
    translate_gguf(*parse(bytes));
  };
  EXPECT_NO_THROW(translate(2, 8));
  expect_error(ErrorCode::corrupt, "head_count' is 0", [&] { translate(0, 8); });
  expect_error(ErrorCode::corrupt, "head_count' is 4294967295", [&] { translate(UINT32_MAX, 8); });
  expect_error(ErrorCode::corrupt, "7 rows", [&] { translate(2, 7); });
}

TEST(MalformedGguf, TruncatedAnywhere) {
  const std::string file = valid();
  for (size_t n = 0; n < file.size(); ++n) EXPECT_THROW(parse(std::string(file, 0, n)), Error) << n;
}

TEST(MalformedGguf, BitFlips) {
  const std::string file = valid();
  SplitMix64 random{11};
  int errors = 0, read = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bad = file;
    for (int flips = 0; flips <= round % 4; ++flips) bad[random() % (bad.size() - 144)] ^= char(1 << random() % 8);
    try {
      const auto parsed = parse(bad);
      ++read;
      for (const RawTensor& tensor : parsed->tensors()) {
        ASSERT_GE(reinterpret_cast<const char*>(tensor.bytes.data()), bad.data());
        ASSERT_LE(reinterpret_cast<const char*>(tensor.bytes.data() + tensor.bytes.size()), bad.data() + bad.size());
      }
      translate_gguf(*parsed);
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 1000);
  EXPECT_GT(read, 100);
}

}  // namespace
}  // namespace gale
