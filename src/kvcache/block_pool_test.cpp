#include "kvcache/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/rng.h"
#include "kernels/kv_pages.h"

namespace gale {
namespace {

BlockName name_of(uint64_t n, uint64_t home = 0) { return {{home, n, 0, 0}}; }

TEST(BlockPool, EmptyBlocksAreTakenBeforeKeptOnesAndThoseByAge) {
  BlockPool pool(3);
  const int32_t a = pool.take(), b = pool.take(), c = pool.take();
  EXPECT_EQ(pool.free(), 0);
  EXPECT_EQ(pool.name(a, name_of(1)), a);
  EXPECT_EQ(pool.name(b, name_of(2)), b);
  pool.release(b);
  pool.release(a);
  pool.release(c);
  EXPECT_EQ(pool.free(), 3);
  EXPECT_EQ(pool.kept(), 2);
  EXPECT_EQ(pool.take(), c);
  EXPECT_EQ(pool.take(), b) << "it was released first";
  EXPECT_EQ(pool.find(name_of(2)), -1);
  EXPECT_EQ(pool.find(name_of(1)), a);
}

TEST(BlockPool, AKeptBlockIsHeldAgain) {
  BlockPool pool(2);
  const int32_t a = pool.take();
  pool.name(a, name_of(7));
  pool.release(a);
  pool.hold(pool.find(name_of(7)));
  pool.hold(a);
  EXPECT_EQ(pool.holders(a), 2);
  EXPECT_EQ(pool.free(), 1);
  EXPECT_EQ(pool.kept(), 0);
  pool.release(a);
  EXPECT_EQ(pool.free(), 1);
  pool.release(a);
  EXPECT_EQ(pool.free(), 2);
}

TEST(BlockPool, ANameBelongsToTheFirst) {
  BlockPool pool(2);
  const int32_t a = pool.take(), b = pool.take();
  EXPECT_EQ(pool.name(a, name_of(1)), a);
  EXPECT_EQ(pool.name(b, name_of(1)), a);
  pool.forget();
  EXPECT_EQ(pool.find(name_of(1)), -1);
  EXPECT_EQ(pool.name(b, name_of(1)), b);
}

// Against a map, with names that crowd into few homes: whoever is found is who has the name, and lists stay whole.
TEST(BlockPool, RandomAgainstAMap) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SplitMix64 rng{seed};
    const auto below = [&](uint64_t n) { return int32_t(rng() % n); };
    const int32_t blocks = 1 + below(20);
    BlockPool pool(blocks);
    std::map<int32_t, int32_t> holders;  // of held blocks
    std::map<uint64_t, int32_t> named;   // by name
    std::vector<int32_t> kept;           // by age
    const uint64_t homes = 1 + rng() % 5;
    for (int i = 0; i < 500; ++i) {
      std::vector<int32_t> held;
      for (const auto& [block, count] : holders) held.push_back(block);
      const int action = below(4);
      if (action == 0 && pool.free() > 0) {
        const int32_t block = pool.take();
        ASSERT_FALSE(holders.contains(block));
        if (int32_t(holders.size() + kept.size()) == blocks) ASSERT_EQ(block, kept.front()) << "only kept ones are left";
        std::erase(kept, block);
        std::erase_if(named, [&](const auto& n) { return n.second == block; });
        holders[block] = 1;
      } else if (action == 1 && !held.empty()) {
        const int32_t block = held[size_t(below(held.size()))];
        pool.release(block);
        if (--holders[block] > 0) continue;
        holders.erase(block);
        if (std::ranges::any_of(named, [&](const auto& n) { return n.second == block; })) kept.push_back(block);
      } else if (action == 2 && !held.empty()) {
        const int32_t block = held[size_t(below(held.size()))];
        if (std::ranges::any_of(named, [&](const auto& n) { return n.second == block; })) continue;
        const uint64_t n = rng() % 40;
        const int32_t expected = named.emplace(n, block).first->second;
        ASSERT_EQ(pool.name(block, name_of(n, n % homes)), expected);
      } else if (action == 3) {
        const uint64_t n = rng() % 40;
        const int32_t found = pool.find(name_of(n, n % homes));
        ASSERT_EQ(found, named.contains(n) ? named[n] : -1);
        if (found < 0) continue;
        pool.hold(found);
        ++holders[found];
        std::erase(kept, found);
      }
      ASSERT_EQ(pool.free(), blocks - int32_t(holders.size()));
      ASSERT_EQ(pool.kept(), int32_t(kept.size()));
      for (const auto& [block, count] : holders) ASSERT_EQ(pool.holders(block), count);
      for (const auto& [n, block] : named) ASSERT_EQ(pool.find(name_of(n, n % homes)), block);
    }
  }
}

TEST(BlockNames, NameEverythingUpToTheEndOfABlock) {
  const BlockNames names(KeyedHash::Key{});
  std::vector<int32_t> text(kGroupSlots * 3 + 5, 4);
  const auto named = [&](std::vector<int32_t> tokens, std::string_view salt, const BlockNames& by) {
    std::vector<BlockName> out;
    by.extend(out, by.root(salt), tokens);
    return out;
  };
  const auto whole = named(text, "", names);
  ASSERT_EQ(whole.size(), 3u);
  EXPECT_EQ(std::set(whole.begin(), whole.end()).size(), 3u) << "the same tokens elsewhere are another block";
  text[kGroupSlots] = 5;
  const auto other = named(text, "", names);
  EXPECT_EQ(other[0], whole[0]);
  EXPECT_NE(other[1], whole[1]);
  EXPECT_NE(other[2], whole[2]) << "what came before differs";
  EXPECT_NE(named(text, "tenant", names)[0], other[0]);
  EXPECT_NE(named(text, "", BlockNames(KeyedHash::random_key()))[0], other[0]);
  std::vector<BlockName> grown;
  for (const size_t n : {10u, 64u, 100u, 197u}) names.extend(grown, names.root(""), std::span(text).first(n));
  EXPECT_EQ(grown, other);
}

// Of RFC 7693's algorithm with a key of 32 zeros: `hashlib.blake2b(b"abc", digest_size=32, key=bytes(32))`.
TEST(KeyedHash, IsBlake2b) {
  const KeyedHash hash(KeyedHash::Key{});
  const std::string text = "abc";
  const Digest256 digest = hash(std::as_bytes(std::span(text).first(1)), std::as_bytes(std::span(text).subspan(1)));
  std::string hex;
  for (const std::byte b : std::as_bytes(std::span(digest.words))) {
    hex += "0123456789abcdef"[int(b) >> 4];
    hex += "0123456789abcdef"[int(b) & 15];
  }
  EXPECT_EQ(hex, "bad705ff155af631f38dc6cafdda827a31595c802f3ff585c10691c58944d89b");
}

}  // namespace
}  // namespace gale
