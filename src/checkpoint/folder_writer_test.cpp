#include "checkpoint/folder_writer.h"

#include <gmock/gmock.h>

#include <fstream>

#include "checkpoint/safetensors.h"
#include "checkpoint/test_files.h"
#include "gale/error.h"

namespace gale {
namespace {

namespace fs = std::filesystem;

std::vector<std::byte> some_bytes(size_t n, int seed) {
  std::vector<std::byte> out(n);
  for (size_t i = 0; i < n; ++i) out[i] = std::byte((i * 7 + size_t(seed)) & 0xff);
  return out;
}

fs::path fresh_folder(const std::string& name) {
  const fs::path out = fs::path(::testing::TempDir()) / ("folder_writer_" + name);
  fs::remove_all(out);
  fs::create_directories(out);
  return out;
}
size_t entries(const fs::path& folder) { return size_t(std::distance(fs::directory_iterator(folder), {})); }

// Odd sizes, written in pieces and in another order than they were declared; every tensor aligned to its elements.
TEST(FolderWriter, ShardsAreReadBack) {
  for (const int64_t shard : {int64_t(1) << 30, int64_t(100)}) {
    const fs::path at = fresh_folder("shards");
    FolderWriter writer(at / "m", shard);
    writer.declare("a", TensorType::u8, {33});
    writer.declare("b", TensorType::f32, {4, 5});
    writer.declare("c", TensorType::f16, {3});
    writer.declare("d", TensorType::i64, {});
    writer.write("d", 0, some_bytes(8, 4));
    const std::vector<std::byte> b = some_bytes(80, 2);
    writer.write("b", 40, std::span(b).subspan(40));
    writer.write("a", 0, some_bytes(33, 1));
    writer.write("b", 0, std::span(b).first(40));
    writer.write("c", 0, some_bytes(6, 3));
    writer.text("config.json", "{}");
    EXPECT_EQ(entries(at), 0u) << "something is there before the commit";
    writer.commit();
    EXPECT_EQ(entries(at), 1u);
    EXPECT_TRUE(fs::exists(at / "m" / "config.json"));
    const bool one = shard > 1000;
    EXPECT_EQ(fs::exists(at / "m" / "model.safetensors"), one);
    const auto tensors = one ? open_safetensors(at / "m" / "model.safetensors")
                             : open_safetensors_index(at / "m" / "model.safetensors.index.json");
    ASSERT_EQ(tensors.size(), 4u);
    for (const RawTensor& t : tensors) {
      const size_t n = t.bytes.size(), width = size_t(tensor_type_info(t.type).bytes);
      EXPECT_TRUE(std::ranges::equal(t.bytes, some_bytes(n, t.name[0] - 'a' + 1))) << t.name;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(t.bytes.data()) % width, 0u) << t.name;
    }
  }
}

TEST(FolderWriter, LeavesNothingWithoutACommit) {
  const fs::path at = fresh_folder("nothing");
  {
    FolderWriter writer(at / "m");
    writer.declare("a", TensorType::u8, {4});
    writer.write("a", 0, some_bytes(3, 0));
    writer.text("config.json", "{}");
    EXPECT_THROW(writer.commit(), Error) << "a tensor is not whole";
  }
  EXPECT_EQ(entries(at), 0u);
}

TEST(FolderWriter, WhatIsThereIsNotOverwritten) {
  const fs::path at = fresh_folder("there");
  fs::create_directory(at / "empty");
  FolderWriter writer(at / "empty" / "");
  writer.declare("a", TensorType::u8, {1});
  writer.write("a", 0, some_bytes(1, 0));
  writer.commit();
  EXPECT_TRUE(fs::exists(at / "empty" / "model.safetensors"));
  EXPECT_THROW(FolderWriter(at / "empty"), Error);
  std::ofstream(at / "file") << "x";
  EXPECT_THROW(FolderWriter(at / "file"), Error);
  EXPECT_THROW(FolderWriter(at / "no" / "folder"), Error);
}

}  // namespace
}  // namespace gale
