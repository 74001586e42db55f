#include "kvcache/session_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <numeric>

#include "base/mmap.h"
#include "base/rng.h"
#include "gale/error.h"

namespace gale {
namespace {

const Digest256 kCache{{1, 2, 3, 4}}, kName{{5, 6, 7, 8}};

std::vector<std::byte> content(size_t bytes) {
  SplitMix64 rng{bytes};
  std::vector<std::byte> out(bytes);
  for (std::byte& b : out) b = std::byte(rng() & 255);
  return out;
}

std::vector<std::byte> block_bytes(const BlockRecord& record) {
  const BlockHeader header = block_header(record);
  std::vector<std::byte> out(header.begin(), header.end());
  out.insert(out.end(), record.payload.begin(), record.payload.end());
  return out;
}

TEST(BlockFile, ComesBackAsItWas) {
  for (const size_t size : {size_t(0), size_t(1), size_t(5000)}) {
    const auto payload = content(size);
    auto bytes = block_bytes({.cache = kCache, .name = kName, .pool = 3, .payload = payload});
    bytes.push_back(std::byte(1));
    const BlockRecord block = parse_block(bytes, "test");
    EXPECT_EQ(block.cache, kCache);
    EXPECT_EQ(block.name, kName);
    EXPECT_EQ(block.pool, 3);
    EXPECT_TRUE(std::ranges::equal(block.payload, payload));
    EXPECT_EQ(block.bytes(), bytes.size() - 1) << "more may follow";
  }
}

// Every length that is too short, and every byte another one.
TEST(BlockFile, DamageIsSeen) {
  const auto payload = content(300);
  const auto bytes = block_bytes({.cache = kCache, .name = kName, .pool = 3, .payload = payload});
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW(parse_block(std::span(bytes).first(size), "test"), Error) << size;
  for (size_t at = 0; at < bytes.size(); ++at)
    for (const int bit : {1, 128}) {
      auto bad = bytes;
      bad[at] ^= std::byte(bit);
      EXPECT_THROW(parse_block(bad, "test"), Error) << at;
    }
}

TEST(BlockFile, AnotherVersionIsNamed) {
  auto bytes = block_bytes({.cache = kCache, .name = kName, .pool = 0, .payload = {}});
  bytes[8] = std::byte(9);
  try {
    parse_block(bytes, "the file");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
    EXPECT_STREQ(e.what(), "the file: blocks of version 9, and this program reads 1");
  }
}

class Sessions : public ::testing::Test {
 protected:
  Sessions() {
    std::string name = (std::filesystem::temp_directory_path() / "gale-session-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~Sessions() override { std::filesystem::remove_all(folder_); }
  // Three blocks behind 100 tokens.
  std::vector<std::byte> written() {
    SessionHead head{.key = {}, .model = kName, .cache = kCache, .tokens = {}, .made_by = "a model", .note = "a note"};
    head.key.fill(std::byte(7));
    head.tokens.resize(100);
    std::iota(head.tokens.begin(), head.tokens.end(), -50);
    const auto payload = content(200);
    {
      SessionWriter file(path(), head);
      for (const int32_t pool : {0, 1, 2}) file.block({.cache = kCache, .name = kName, .pool = pool, .payload = payload});
      file.commit();
    }
    const auto file = MappedFile::open(path());
    return {file->bytes().begin(), file->bytes().end()};
  }
  std::filesystem::path path() const { return folder_ / "session"; }
  std::filesystem::path folder_;
};

TEST_F(Sessions, ComeBackAsTheyWere) {
  const auto bytes = written();
  EXPECT_EQ(unsigned(std::filesystem::status(path()).permissions()) & 0777, 0600u);
  const SessionFile file = parse_session(bytes, "test");
  EXPECT_EQ(file.head.model, kName);
  EXPECT_EQ(file.head.cache, kCache);
  EXPECT_EQ(file.head.key[31], std::byte(7));
  EXPECT_EQ(file.head.tokens.size(), 100u);
  EXPECT_EQ(file.head.tokens[99], 49);
  EXPECT_EQ(file.head.made_by, "a model");
  EXPECT_EQ(file.head.note, "a note");
  ASSERT_EQ(file.blocks.size(), 3u);
  EXPECT_EQ(file.blocks[2].pool, 2);
  EXPECT_TRUE(std::ranges::equal(file.blocks[1].payload, content(200)));
  EXPECT_EQ(file.damage, "");
}

// Cut anywhere, a byte changed anywhere: the text is whole or an error, and only whole blocks come back.
TEST_F(Sessions, DamageIsSeen) {
  const auto bytes = written();
  const size_t text = 256 + 100 * 4 + 13, block = kBlockHeader + 200;
  ASSERT_EQ(bytes.size(), text + 3 * block);
  const auto check = [&](std::span<const std::byte> bad, size_t at) {
    if (at < text) {
      EXPECT_THROW(parse_session(bad, "test"), Error) << at;
      return;
    }
    const SessionFile file = parse_session(bad, "test");
    EXPECT_EQ(file.blocks.size(), (at - text) / block) << at;
    EXPECT_EQ(file.damage.empty(), bad.size() == at && (at - text) % block == 0) << at;
    EXPECT_EQ(file.head.tokens.size(), 100u);
  };
  for (size_t size = 0; size < bytes.size(); ++size) check(std::span(bytes).first(size), size);
  for (size_t at = 0; at < bytes.size(); ++at) {
    auto bad = bytes;
    bad[at] ^= std::byte(64);
    check(bad, at);
  }
}

// Sizes that lie in the file only by overflow.
TEST_F(Sessions, SizesAreCheckedBeforeTheyAreUsed) {
  for (const size_t field : {16, 24, 32})
    for (const uint64_t size : {~uint64_t(0), uint64_t(1) << 62, ~uint64_t(0) / 4 + 1, uint64_t(100000)}) {
      auto bad = written();
      std::memcpy(bad.data() + field, &size, 8);
      EXPECT_THROW(parse_session(bad, "test"), Error);
    }
}

TEST_F(Sessions, BlocksOfAnotherCacheAreNotTaken) {
  SessionHead head{.key = {}, .model = kName, .cache = kCache, .tokens = {1}, .made_by = "", .note = ""};
  {
    SessionWriter file(path(), head);
    file.block({.cache = kName, .name = kName, .pool = 0, .payload = {}});
    file.commit();
  }
  const auto mapped = MappedFile::open(path());
  const SessionFile file = parse_session(mapped->bytes(), "test");
  EXPECT_TRUE(file.blocks.empty());
  EXPECT_NE(file.damage, "");
}

}  // namespace
}  // namespace gale
