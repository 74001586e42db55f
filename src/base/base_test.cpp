#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>

#include "base/checked.h"
#include "base/cpu.h"
#include "base/cpu_budget.h"
#include "base/file.h"
#include "base/float_mode.h"
#include "base/half.h"
#include "base/json.h"
#include "base/mmap.h"
#include "base/parse_json.h"
#include "base/rng.h"
#include "base/threads.h"

namespace gale {
namespace {

namespace fs = std::filesystem;

struct TempDir {
  TempDir() : path(fs::temp_directory_path() / ("gale-base-" + std::to_string(::getpid()))) { fs::create_directories(path); }
  ~TempDir() { fs::remove_all(path); }
  void put(const fs::path& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << text;
  }
  fs::path path;
};

ErrorCode code_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::internal;
}

TEST(Half, EveryF16SurvivesTheRoundTrip) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float f = f16_to_f32(uint16_t(h));
    if (std::isnan(f))
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(f))));
    else
      EXPECT_EQ(f32_to_f16(f), h);
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(f32_to_f16(1.0f + 0x1p-11f), 0x3c00);      // half way: to even
  EXPECT_EQ(f32_to_f16(1.0f + 3 * 0x1p-11f), 0x3c02);  // half way: to even, upward
  EXPECT_EQ(f32_to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0x0000);
  EXPECT_EQ(f32_to_f16(0x1.8p-25f), 0x0001);
  EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
  EXPECT_EQ(f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);
  EXPECT_EQ(f32_to_bf16(1.0f + 3 * 0x1p-8f), 0x3f82);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::nanf("")))));
}

// Random123's published known-answer vectors for philox4x32-10.
TEST(Rng, PhiloxKnownAnswers) {
  EXPECT_EQ(philox({0, 0}, {0, 0, 0, 0}), (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0xa4093822, 0x299f31d0}, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, UniformIsAddressed) {
  EXPECT_EQ(philox_uniform(1, 2, 3, 4), philox_uniform(1, 2, 3, 4));
  EXPECT_NE(philox_uniform(1, 2, 3, 4), philox_uniform(1, 2, 4, 3));
  double mean = 0;
  for (int i = 0; i < 200000; ++i) mean += philox_uniform(7, 0, uint64_t(i), 0) / 200000;
  EXPECT_NEAR(mean, 0.5, 0.003);
}

TEST(Checked, OverflowIsAnError) {
  EXPECT_EQ(checked_mul(1 << 30, 1 << 30, "x"), int64_t(1) << 60);
  EXPECT_EQ(code_of([] { checked_mul(int64_t(1) << 40, int64_t(1) << 40, "tensor a"); }), ErrorCode::corrupt);
  EXPECT_EQ(code_of([] { checked_add(INT64_MAX, 1, "tensor a"); }), ErrorCode::corrupt);
  EXPECT_EQ(code_of([] { checked_mul(-1, 2, "tensor a"); }), ErrorCode::corrupt);
}

TEST(Files, MapReadAndAtomicWrite) {
  const TempDir dir;
  dir.put("a.txt", "hello");
  EXPECT_EQ(read_text(dir.path / "a.txt"), "hello");
  EXPECT_EQ(code_of([&] { read_text(dir.path / "a.txt", 4); }), ErrorCode::corrupt);
  EXPECT_EQ(code_of([&] { MappedFile::open(dir.path / "none"); }), ErrorCode::not_found);
  EXPECT_EQ(code_of([&] { MappedFile::open(dir.path); }), ErrorCode::not_found);
  dir.put("empty", "");
  EXPECT_EQ(MappedFile::open(dir.path / "empty")->bytes().size(), 0u);
  {
    AtomicFile lost(dir.path / "b.txt");
    lost.write("never seen");
  }
  EXPECT_FALSE(fs::exists(dir.path / "b.txt"));
  AtomicFile kept(dir.path / "b.txt");
  kept.write("seen");
  kept.commit();
  EXPECT_EQ(read_text(dir.path / "b.txt"), "seen");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path), fs::directory_iterator()), 3);
}

TEST(Cpu, OverrideMustExistAndRunHere) {
  const CpuFeatures cpu = detect_cpu();
  EXPECT_EQ(cpu.isas.front(), Isa::generic);
  EXPECT_EQ(choose_isa(cpu, ""), cpu.isas.back());
  EXPECT_EQ(choose_isa(cpu, "generic"), Isa::generic);
  EXPECT_EQ(code_of([&] { choose_isa(cpu, "avx9000"); }), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of([&] { choose_isa({"", {}, {Isa::generic}}, "avx512"); }), ErrorCode::unsupported);
}

TEST(Cpu, TheVariableIsReadInOnePlace) {
  const CpuFeatures cpu = detect_cpu();
  const char* before = std::getenv("GALE_ISA");
  const std::string kept = before == nullptr ? "" : before;
  ::unsetenv("GALE_ISA");
  EXPECT_EQ(isa_to_run(cpu), cpu.isas.back());
  ::setenv("GALE_ISA", "generic", 1);
  EXPECT_EQ(isa_to_run(cpu), Isa::generic);
  EXPECT_EQ(isa_to_run(cpu, isa_name(cpu.isas.back())), cpu.isas.back()) << "what is named wins";
  ::setenv("GALE_ISA", "avx9000", 1);
  EXPECT_EQ(code_of([&] { isa_to_run(cpu); }), ErrorCode::invalid_argument);
  before == nullptr ? ::unsetenv("GALE_ISA") : ::setenv("GALE_ISA", kept.c_str(), 1);
}

TEST(CpuBudget, CgroupQuotaWalksUpToTheRoot) {
  const TempDir v2;
  v2.put("proc/self/cgroup", "0::/pod/box\n");
  v2.put("sys/fs/cgroup/pod/box/cpu.max", "max 100000\n");
  v2.put("sys/fs/cgroup/pod/cpu.max", "150000 100000\n");
  const CpuBudget budget = detect_cpu_budget(v2.path);
  EXPECT_DOUBLE_EQ(budget.quota, 1.5);
  EXPECT_EQ(budget.threads, 1);
}

TEST(CpuBudget, OldCgroupsAndMemory) {
  const TempDir v1;
  v1.put("proc/self/cgroup", "3:cpu,cpuacct:/a\n2:memory:/a\n");
  v1.put("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
  v1.put("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  v1.put("proc/meminfo", "MemTotal: 8000 kB\nMemAvailable: 4000 kB\n");
  v1.put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "3000000\n");
  v1.put("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1000000\n");
  EXPECT_EQ(detect_cpu_budget(v1.path).quota, 0);
  EXPECT_EQ(available_memory(v1.path), 2000000u);
  v1.put("sys/fs/cgroup/memory/a/memory.stat",
         "cache 900000\ninactive_file 100\ntotal_inactive_file 300000\ntotal_active_file 200000\n");
  EXPECT_EQ(available_memory(v1.path), 2500000u) << "pages of files can be had back";
  fs::remove_all(v1.path / "sys");
  EXPECT_EQ(available_memory(v1.path), 4000u * 1024);
}

TEST(CpuBudget, SiblingsCountOnce) {
  const TempDir smt;
  const int cores = int(detect_cpu_budget("/nowhere").cores.size());
  for (int cpu = 0; cpu < 1024; ++cpu)
    smt.put("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list",
            std::to_string(cpu / 2) + "\n");
  EXPECT_LE(int(detect_cpu_budget(smt.path).cores.size()), (cores + 2) / 2);
}

TEST(ParseJson, BoundsNestingAndSaysWhere) {
  const auto nested = [](int n) { return std::string(size_t(n), '[') + std::string(size_t(n), ']'); };
  EXPECT_TRUE(parse_json_text(nested(64), "x").is_array());
  const auto error = [](const std::string& text) -> std::string {
    try {
      parse_json_text(text, "x");
    } catch (const Error& e) {
      return e.code() == ErrorCode::corrupt ? e.what() : "";
    }
    return "";
  };
  for (const std::string& deep : {nested(66), nested(1'000'000), R"({"a": )" + nested(50'000) + R"(, "b": 1})"})
    EXPECT_EQ(error(deep), "x: nested deeper than 64 levels");
  EXPECT_TRUE(error("[1,\n 2 3]").starts_with("x: line 2, column 4: ")) << error("[1,\n 2 3]");
  for (const char* text : {"", "[1e999]", "{"}) {
    EXPECT_TRUE(error(text).starts_with("x: ")) << text;
    EXPECT_EQ(error(text).find("json.exception"), std::string::npos) << error(text);
  }
  std::string wide = "{";
  for (int i = 0; i < 40'000; ++i) wide += fmt::format("\"k{}\": 1, ", i);
  EXPECT_EQ(error(wide + "\"a\": {\"b\": 2}}"), "x: an object has more than 32768 keys");
  const auto wanted = [](int level, std::string_view key) { return key == (level == 1 ? "a" : "b"); };
  EXPECT_EQ(parse_json_text(wide + R"("a": {"c": [], "b": 2}})", "x", 64, wanted).dump(), R"({"a":{"b":2}})");
}

TEST(ThreadPool, FewerThreadsThanAskedForIsAnError) {
  pthread_attr_t usual, large;
  ASSERT_EQ(::pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(::pthread_getattr_default_np(&large), 0);
  ::pthread_attr_setstacksize(&large, size_t(1) << 46);  // more than there is: as if the system gave no more threads
  ASSERT_EQ(::pthread_setattr_default_np(&large), 0);
  std::string what;
  try {
    const ThreadPool pool(3);
  } catch (const Error& e) {
    what = e.what();
  }
  ::pthread_setattr_default_np(&usual);
  EXPECT_TRUE(what.starts_with("could not start 3 threads: ")) << what;
  EXPECT_TRUE(what.ends_with("ask for fewer with -t")) << what;
}

TEST(ThreadPool, RunsOncePerThreadAndCoversEveryItem) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    std::vector<std::atomic<int>> runs(static_cast<size_t>(threads));
    for (int repeat = 0; repeat < 200; ++repeat) pool.run([&](int t) { runs[size_t(t)]++; });
    for (auto& n : runs) EXPECT_EQ(n.load(), 200);
    for (int64_t grain : {1, 3, 1000}) {
      std::vector<std::atomic<int>> seen(101);
      pool.for_each(101, grain, [&](int64_t b, int64_t e) {
        for (int64_t i = b; i < e; ++i) seen[size_t(i)]++;
      });
      for (auto& n : seen) EXPECT_EQ(n.load(), 1);
    }
    pool.for_each(0, 1, [&](int64_t, int64_t) { ADD_FAILURE(); });
  }
}

TEST(ThreadPool, WakesAfterParking) {
  ThreadPool pool(3);
  std::atomic<int> total{0};
  for (int i = 0; i < 20; ++i) {
    ::usleep(2000);  // far beyond the spin
    pool.run([&](int) { total++; });
  }
  EXPECT_EQ(total.load(), 60);
}

// What a host that flushes subnormals sees: nothing of it in the results, and its own mode afterwards.
TEST(ThreadPool, BitIdentityHostsThatFlushSubnormals) {
  struct Host {
    FloatMode before = FloatMode::current();
    Host() { FloatMode::flushing().apply(); }
    ~Host() { before.apply(); }
  };
  const Host host;
  const volatile float small = 0x1p-100f, smaller = 0x1p-40f;
  const auto product = [&] { return std::bit_cast<uint32_t>(small * smaller); };  // bits: to this thread 2^-140 == 0
  const uint32_t subnormal = 1u << 9;                                             // 2^-140
  EXPECT_EQ(product(), FloatMode::flushing() == FloatMode::standard() ? subnormal : 0u) << "the control: this thread flushes";
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    for (const int64_t n : {1, 7, 64})  // one piece, which takes no other thread, and many
      pool.for_each(n, 4, [&](int64_t, int64_t) { EXPECT_EQ(product(), subnormal) << threads << " threads, " << n << " items"; });
    pool.run([&](int) { EXPECT_EQ(product(), subnormal); });
  }
  EXPECT_EQ(FloatMode::current(), FloatMode::flushing());
}

TEST(Error, CodesMapToStatus) {
  EXPECT_EQ(http_status(ErrorCode::invalid_argument), 400);
  EXPECT_EQ(http_status(ErrorCode::not_found), 404);
  EXPECT_EQ(http_status(ErrorCode::out_of_memory), 503);
  EXPECT_EQ(std::string(error_name(ErrorCode::corrupt)), "corrupt");
}

}  // namespace
}  // namespace gale
