#include "kvcache/block_store.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/rng.h"
#include "gale/error.h"
#include "kvcache/block_file.h"
#include "kvcache/kv_format.h"
#include "kvcache/kvcache.h"

namespace gale {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kBytes = 4000;  // of a block: with its header as much as the disk gives at once, and a little more
constexpr int64_t kOnDisk = 8192;
constexpr int64_t kPlenty = int64_t(1) << 30;
const Digest256 kCache{{1, 2, 3, 4}};

struct TempDir {
  TempDir() {
    std::string name = (fs::temp_directory_path() / "gale-store-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~TempDir() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  fs::path path;
};

BlockName name_of(uint64_t n) { return {{n, n + 1, n + 2, n + 3}}; }

std::vector<std::byte> content_of(uint64_t n, int64_t bytes = kBytes) {
  SplitMix64 rng{n};
  std::vector<std::byte> out(static_cast<size_t>(bytes));
  for (std::byte& b : out) b = std::byte(rng() & 255);
  return out;
}

std::unique_ptr<BlockStore> open_store(const fs::path& path, int64_t limit = kPlenty, const Digest256& cache = kCache,
                                       BlockStore::Options options = {}) {
  options.bytes = limit;
  options.block_bytes = {kBytes, kBytes};
  return std::make_unique<BlockStore>(std::make_shared<StoreFolder>(path), cache, options);
}

bool put(BlockStore& store, uint64_t n, int32_t pool = 0, bool wait = true) {
  const std::span<std::byte> room = store.begin_put(pool, name_of(n), wait);
  if (room.empty()) return false;
  const auto content = content_of(n + uint64_t(pool) * 1000);
  EXPECT_EQ(room.size(), content.size());
  std::ranges::copy(content, room.begin());
  store.end_put();
  return true;
}

// The block as it comes back; empty where it does not, or within ten seconds.
std::vector<std::byte> get(BlockStore& store, uint64_t n, int32_t pool = 0) {
  if (!store.promises(pool, name_of(n))) return {};
  store.fetch(pool, name_of(n));
  for (int i = 0; i < 10000 && store.promises(pool, name_of(n)); ++i) {
    if (const auto block = store.arrival()) {
      EXPECT_EQ(block->name, name_of(n));
      EXPECT_EQ(block->pool, pool);
      std::vector<std::byte> out(block->bytes.begin(), block->bytes.end());
      store.done();
      return out;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {};
}

void fill(const fs::path& path, uint64_t count, int64_t limit = kPlenty, int32_t pool = 0) {
  const auto store = open_store(path, limit);
  for (uint64_t n = 0; n < count; ++n) put(*store, n, pool);
}

std::vector<fs::path> files_in(const fs::path& path) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.path().filename() != "key") out.push_back(entry.path());
  std::ranges::sort(out);
  return out;
}

int64_t bytes_in(const fs::path& path) {
  int64_t bytes = 0;
  for (const fs::path& file : files_in(path)) bytes += StoreFolder::disk_bytes(int64_t(fs::file_size(file)));
  return bytes;
}

TEST(BlockStore, GivesBackWhatAnotherProcessWrote) {
  const TempDir dir;
  fill(dir.path / "below" / "it", 5);
  fill(dir.path / "below" / "it", 5, kPlenty, 1);
  const auto store = open_store(dir.path / "below" / "it");
  EXPECT_EQ(store->counts().bytes, 10 * kOnDisk);
  for (uint64_t n = 0; n < 5; ++n) {
    EXPECT_EQ(get(*store, n), content_of(n));
    EXPECT_EQ(get(*store, n, 1), content_of(n + 1000));
  }
  EXPECT_EQ(get(*store, 5), std::vector<std::byte>());
  EXPECT_EQ(store->counts().restored, 10);
  EXPECT_FALSE(put(*store, 3)) << "it is there";
}

TEST(BlockStore, FilesAreTheirOwnersAlone) {
  const TempDir dir;
  ::umask(0);
  fill(dir.path / "store", 1);
  ::umask(022);
  const auto mode = [](const fs::path& path) { return unsigned(fs::status(path).permissions()) & 0777; };
  EXPECT_EQ(mode(dir.path / "store"), 0700u);
  EXPECT_EQ(mode(dir.path / "store" / "key"), 0600u);
  EXPECT_EQ(mode(files_in(dir.path / "store").at(0)), 0600u);
  fs::permissions(dir.path / "store", fs::perms::all);
  EXPECT_THROW(open_store(dir.path / "store"), Error) << "others could put blocks there";
  std::ofstream(dir.path / "file") << "x";
  EXPECT_THROW(open_store(dir.path / "file"), Error);
  EXPECT_THROW(open_store("/proc/gale"), Error);
}

TEST(BlockStore, AnotherCacheFindsNothing) {
  const TempDir dir;
  fill(dir.path, 2);
  const Digest256 other{{1, 2, 3, 5}};
  const auto store = open_store(dir.path, kPlenty, other);
  EXPECT_TRUE(get(*store, 0).empty());
  store->serve(kCache);
  EXPECT_EQ(get(*store, 0), content_of(0));
  store->fetch(0, name_of(1));
  store->serve(other);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(store->arrival()) << "what was asked for before is not wanted any more";
  EXPECT_TRUE(get(*store, 1).empty());
  EXPECT_TRUE(put(*store, 1)) << "under its own name";
}

// A block of another cache, another name or another pool under the file name that is looked for.
TEST(BlockStore, AFileThatHoldsAnotherBlockThanItsNameSaysIsRemoved) {
  const TempDir dir;
  fill(dir.path, 2);
  const auto files = files_in(dir.path);
  fs::copy_file(files[0], files[1], fs::copy_options::overwrite_existing);
  const auto store = open_store(dir.path);
  EXPECT_EQ(get(*store, 0).empty() + get(*store, 1).empty(), 1);
  EXPECT_EQ(files_in(dir.path).size(), 1u);
}

TEST(BlockStore, DamagedFilesAreRemoved) {
  const TempDir dir;
  const std::vector<std::function<void(const fs::path&)>> damages = {
      [](const fs::path& file) { fs::resize_file(file, 0); },
      [](const fs::path& file) { fs::resize_file(file, kBlockHeader + kBytes - 1); },
      [](const fs::path& file) { fs::resize_file(file, kBlockHeader + kBytes + 1); },
      [](const fs::path& file) {
        std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(kBlockHeader + 77).put(char(0xa5));
      },
      [](const fs::path& file) { std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(20).put(char(9)); },
      [](const fs::path& file) { std::ofstream(file) << "something else"; },
  };
  for (size_t i = 0; i < damages.size(); ++i) {
    fill(dir.path, 1);
    damages[i](files_in(dir.path).at(0));
    const auto store = open_store(dir.path);
    EXPECT_TRUE(get(*store, 0).empty()) << i;
    EXPECT_TRUE(files_in(dir.path).empty()) << i;
    EXPECT_EQ(store->counts().bytes, 0);
    EXPECT_TRUE(put(*store, 0)) << "and may be written anew";
  }
}

TEST(BlockStore, OtherPeoplesFilesStay) {
  const TempDir dir;
  fill(dir.path, 1);
  const std::string digits = files_in(dir.path).at(0).filename().string().substr(0, 64);
  const std::vector<std::string> others = {
      "notes.txt", digits, digits + "-", digits + "-x", digits + "-00", digits + "-0 ", std::string(64, 'F') + "-0"};
  for (const std::string& name : others) std::ofstream(dir.path / name) << "mine";
  fs::create_directory(dir.path / (std::string(64, 'a') + "-0"));
  fs::create_symlink("notes.txt", dir.path / (std::string(64, 'b') + "-0"));
  fill(dir.path, 10, 2 * kOnDisk);
  for (const std::string& name : others) EXPECT_TRUE(fs::exists(dir.path / name)) << name;
  EXPECT_TRUE(fs::exists(dir.path / (std::string(64, 'a') + "-0")));
}

TEST(BlockStore, ADamagedKeyIsReplacedAndItsBlocksAreNotFound) {
  const TempDir dir;
  const auto key = [&] { return StoreFolder(dir.path).key(); };
  const auto first = key();
  EXPECT_EQ(key(), first);
  std::ofstream(dir.path / "key") << "short";
  EXPECT_NE(key(), first);
}

TEST(BlockStore, WhatKilledWritersLeftGoes) {
  const TempDir dir;
  fill(dir.path, 1);
  const fs::path old = dir.path / ".begun-1-1", young = dir.path / ".begun-2-2";
  std::ofstream(old) << "x", std::ofstream(young) << "y";
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::minutes(2));
  open_store(dir.path);
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young)) << "its writer may still be at it";
}

// The block unused for longest goes first, be it used in this process or in one before.
TEST(BlockStore, TheLimitIsKept) {
  const TempDir dir;
  const int64_t limit = 10 * kOnDisk;
  fill(dir.path, 8, limit);
  {
    const auto store = open_store(dir.path, limit);
    EXPECT_EQ(get(*store, 0), content_of(0)) << "used last";
  }
  {
    const auto store = open_store(dir.path, limit);
    for (uint64_t n = 8; n < 50; ++n) {
      put(*store, n);
      while (store->counts().queued > 0) std::this_thread::yield();
      EXPECT_LE(bytes_in(dir.path), limit);
      EXPECT_EQ(store->counts().bytes, bytes_in(dir.path));
      if (n == 12) {
        EXPECT_EQ(get(*store, 0), content_of(0));
        EXPECT_TRUE(get(*store, 1).empty());
      }
    }
  }
  EXPECT_GE(files_in(dir.path).size(), 9u);
  {
    const auto store = open_store(dir.path, limit);
    EXPECT_EQ(get(*store, 49), content_of(49)) << "the newest";
    EXPECT_TRUE(get(*store, 8).empty()) << "among the oldest";
  }
  open_store(dir.path, 3 * kOnDisk);
  EXPECT_LE(bytes_in(dir.path), 3 * kOnDisk) << "a lower limit than the last";
  EXPECT_THROW(open_store(dir.path, kBytes), Error) << "not one block";
}

struct Gate {
  std::atomic<bool> open{false};
  void pass() const {
    while (!open) std::this_thread::yield();
  }
};

TEST(BlockStore, WhatWaitsToBeWrittenIsFoundToo) {
  const TempDir dir;
  fill(dir.path, 1);
  Gate gate;
  const auto store =
      open_store(dir.path, kPlenty, kCache, {.bytes = 0, .block_bytes = {}, .slowly = [&](const BlockId&) { gate.pass(); }});
  store->fetch(0, name_of(0));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(put(*store, 1, 0, false));
  EXPECT_TRUE(store->promises(0, name_of(1)));
  EXPECT_FALSE(put(*store, 1, 0, false)) << "once is enough";
  store->fetch(0, name_of(1));
  gate.open = true;
  for (const uint64_t n : {0, 1}) EXPECT_EQ(get(*store, n), content_of(n));
}

// Of a text that was read the beginning is kept for longest: its end is worth nothing without it.
TEST(BlockStore, OfATextItsEndGoesFirst) {
  const TempDir dir;
  fill(dir.path, 8, 8 * kOnDisk);
  {
    const auto store = open_store(dir.path, 8 * kOnDisk);
    for (uint64_t n = 0; n < 8; ++n) store->fetch(0, name_of(n));
    for (int got = 0; got < 8; std::this_thread::yield())
      if (store->arrival()) store->done(), ++got;
  }
  const auto store = open_store(dir.path, 4 * kOnDisk);  // a sixteenth of it is left empty
  for (uint64_t n = 0; n < 8; ++n) EXPECT_EQ(get(*store, n).empty(), n >= 3) << n;
}

// While the disk does not answer: what finds no room is dropped, nobody waits, and after a second nothing is promised.
TEST(BlockStore, ADiskThatHangsHoldsNobodyUp) {
  const TempDir dir;
  fill(dir.path, 1);
  Gate gate;
  const auto store =
      open_store(dir.path, kPlenty, kCache,
                 {.bytes = 0, .block_bytes = {}, .buffer_bytes = 1, .slowly = [&](const BlockId&) { gate.pass(); }});
  EXPECT_TRUE(store->promises(0, name_of(0)));
  store->fetch(0, name_of(0));
  store->fetch(0, name_of(0));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_TRUE(put(*store, 1, 0, false));
  EXPECT_TRUE(put(*store, 2, 0, false));
  EXPECT_FALSE(put(*store, 3, 0, false)) << "two buffers";
  EXPECT_EQ(store->counts().dropped, 1);
  EXPECT_FALSE(store->arrival());
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  EXPECT_FALSE(store->promises(0, name_of(0)));
  gate.open = true;
  while (!store->promises(0, name_of(0))) std::this_thread::yield();
  EXPECT_EQ(get(*store, 0), content_of(0)) << "it answers again";
  EXPECT_EQ(store->counts().restored, 1) << "once, though it was asked for twice";
  EXPECT_TRUE(put(*store, 3));
}

// A limit on file sizes stands for a full disk: the system refuses to write.
TEST(BlockStore, AFullDiskCostsBlocksAndNothingElse) {
  const TempDir dir;
  fill(dir.path, 1);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit little{100, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &little);
  {
    const auto store = open_store(dir.path);
    for (uint64_t n = 1; n < 200; ++n) put(*store, n);
    EXPECT_EQ(get(*store, 0), content_of(0));
    EXPECT_EQ(store->counts().written, 0);
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  EXPECT_EQ(files_in(dir.path).size(), 1u) << "nothing half done is left";
  fill(dir.path, 3);
  EXPECT_EQ(files_in(dir.path).size(), 3u);
}

// Killed at any moment, again and again: what is there is whole, and the limit is kept.
TEST(BlockStore, AKilledProcessLeavesWholeFiles) {
  const TempDir dir;
  const int64_t limit = 40 * kOnDisk;
  for (uint64_t round = 0; round < 10; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto store = open_store(dir.path, limit);
      for (uint64_t n = round * 7;; ++n) put(*store, n % 400);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + round * 6));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const auto store = open_store(dir.path, limit);
    int64_t whole = 0;
    for (uint64_t n = 0; n < 400; ++n) {
      if (!store->promises(0, name_of(n))) continue;
      EXPECT_EQ(get(*store, n), content_of(n));
      ++whole;
    }
    EXPECT_EQ(store->counts().restored, whole);
    EXPECT_LE(store->counts().bytes, limit);
  }
  EXPECT_GT(files_in(dir.path).size(), 0u);
}

// Several at once in one folder, each over all the names: whoever finds a block finds the right one.
TEST(BlockStore, ManyProcessesShareAFolder) {
  const TempDir dir;
  const int64_t limit = 64 * kOnDisk;
  std::vector<pid_t> children;
  for (uint64_t i = 0; i < 3; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      SplitMix64 rng{i};
      bool right = true;
      {
        const auto store = open_store(dir.path, limit);
        for (int n = 0; n < 1000; ++n) {
          const uint64_t name = rng() % 100;
          const auto found = get(*store, name);
          right = right && (found.empty() || found == content_of(name));
          if (found.empty()) put(*store, name);
        }
      }
      ::_exit(right ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  open_store(dir.path, limit);
  EXPECT_LE(bytes_in(dir.path), limit);
}

// Blocks of every type, of layers with and without a window and of one that shares another's, out of a cache whose memory was
// wanted and into another one: to the byte.
TEST(BlockStore, ACacheGetsItsBlocksBack) {
  const std::vector<CacheLayer> layers = {SelfLayer{2, 32, 48, 0}, SelfLayer{1, 64, 32, 100}, SharedLayer{0}, NoLayer{},
                                          SelfLayer{2, 32, 32, 0}};
  const BlockNames names(KeyedHash::Key{});
  std::vector<BlockName> text, other;
  names.extend(text, names.root("a"), std::vector<int32_t>(640, 1));
  names.extend(other, names.root("b"), std::vector<int32_t>(640, 1));
  for (const char* type : {"f32", "f16", "bf16", "fp8", "q8_0", "q4_0", "q8_0/q4_0", "q4_0/bf16", "fp8/f32"}) {
    const TempDir dir;
    const KvFormat format = choose_kv_format(type, false);
    const auto needs = KvCache::needs(layers, format, 640, 64);
    const auto folder = std::make_shared<StoreFolder>(dir.path);
    const auto open = [&](KvCache& kv) {
      BlockStore::Options options{.bytes = kPlenty, .block_bytes = {}};
      for (const KvNeed& need : needs) options.block_bytes.push_back(need.block_bytes);
      auto store = std::make_unique<BlockStore>(folder, kCache, std::move(options));
      kv.attach(*store);
      return store;
    };
    const auto content = [&](int32_t pool, int64_t i) {
      return content_of(uint64_t(i * 2 + pool), needs[size_t(pool)].block_bytes);
    };
    {
      KvCache kv(layers, format, std::vector<int64_t>{11, 5}, 64);
      const auto store = open(kv);
      for (int64_t i = 9; i >= 0; --i)
        for (const int32_t pool : {0, 1}) ASSERT_TRUE(kv.keep(pool, text[size_t(i)], content(pool, i)));
      kv.store_kept();
    }
    KvCache kv(layers, format, std::vector<int64_t>{11, 5}, 64);
    const auto store = open(kv);
    const TrackId track = kv.open();
    EXPECT_FALSE(kv.fetch(track, other, 639));
    int64_t committed = 0;
    for (int i = 0; kv.fetch(track, text, 639) && i < 10000; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      kv.receive();
      committed = kv.adopt(track, text, 639);
    }
    ASSERT_EQ(committed, 576) << type;
    const auto places = kv.find(std::span(text).first(9));
    EXPECT_EQ(places.size(), 9u + 2u) << "the windowed layer's last two blocks only";
    for (const KvPlace& place : places) {
      std::vector<std::byte> got(size_t(kv.block_bytes(place.pool)));
      ASSERT_TRUE(kv.copy_out(place.pool, text[size_t(place.index)], got));
      EXPECT_EQ(got, content(place.pool, place.index)) << type << ", pool " << place.pool << ", block " << place.index;
    }
    kv.close(track);
  }
}

// What a text needs is not asked for where it would find no place.
TEST(BlockStore, NothingIsReadIntoAFullCache) {
  const TempDir dir;
  const std::vector<CacheLayer> layers = {SelfLayer{1, 16, 16, 0}};
  const int64_t bytes = KvCache::needs(layers, KvType::f16, 1, 1)[0].block_bytes;
  const auto names = [] {
    const BlockNames all(KeyedHash::Key{});
    std::vector<BlockName> out;
    all.extend(out, all.root(""), std::vector<int32_t>(256, 1));
    return out;
  }();
  BlockStore store(std::make_shared<StoreFolder>(dir.path), kCache, {.bytes = kPlenty, .block_bytes = {bytes}});
  {
    KvCache kv(layers, KvType::f16, int64_t(4));
    kv.attach(store);
    for (const BlockName& name : names) kv.keep(0, name, content_of(1, bytes));
    kv.store_kept();
    while (store.counts().written < 4) std::this_thread::yield();
  }
  KvCache kv(layers, KvType::f16, int64_t(4));
  kv.attach(store);
  const TrackId other = kv.open(), ours = kv.open();
  ASSERT_TRUE(kv.reserve(other, 128));
  EXPECT_FALSE(kv.fetch(ours, names, 255));
  EXPECT_TRUE(kv.fetch(ours, names, 128));
  ASSERT_TRUE(kv.reserve(other, 256));
  for (int i = 0; i < 50; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1)), kv.receive();
  EXPECT_FALSE(kv.fetch(ours, names, 128)) << "its place was taken meanwhile";
  EXPECT_EQ(kv.adopt(ours, names, 128), 0);
}

}  // namespace
}  // namespace gale
