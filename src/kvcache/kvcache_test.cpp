#include "kvcache/kvcache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/rng.h"

namespace gale {
namespace {

constexpr int64_t kHeads = 6, kKvHeads = 2, kWidth = 40, kValueWidth = 72;

std::vector<float> random_values(int64_t n, uint64_t seed) {
  SplitMix64 random{seed};
  std::vector<float> out(static_cast<size_t>(n));
  for (float& v : out) v = random.uniform() * 4 - 2;
  return out;
}

struct Text {  // q, k, v of every position of one sequence
  explicit Text(int64_t n, uint64_t seed)
      : n(n),
        q(random_values(n * kHeads * kWidth, seed)),
        k(random_values(n * kKvHeads * kWidth, seed + 1)),
        v(random_values(n * kKvHeads * kValueWidth, seed + 2)) {}
  int64_t n;
  std::vector<float> q, k, v;
};

struct Runner {
  explicit Runner(Isa isa = Isa::generic, KvType type = KvType::f32, int threads = 1)
      : arena(size_t(64) << 20),
        pool(threads),
        ctx{arena, pool, cpu_kernels(isa)},
        kv({SelfLayer{int32_t(kKvHeads), int32_t(kWidth), int32_t(kValueWidth)}}, type, 64) {}

  Tensor rows(const std::vector<float>& from, int64_t first, int64_t n, int64_t heads, int64_t width) {
    Tensor t = ctx.tensor({n, heads, width});
    std::memcpy(t.data<float>(), from.data() + first * heads * width, size_t(n * heads * width) * 4);
    return t;
  }
  // Rows [first, first + n) of a text through the cache.
  std::vector<float> step(const Text& text, TrackId track, int64_t first, int64_t n, const AttentionOptions& options) {
    EXPECT_TRUE(kv.reserve(track, first + n));
    Batch batch;
    const std::vector<int32_t> ids(static_cast<size_t>(n), 0);
    batch.add_causal(track, ids.data(), int32_t(n), int32_t(first));
    const Tensor y = kv.attend(ctx, 0, batch, rows(text.q, first, n, kHeads, kWidth), rows(text.k, first, n, kKvHeads, kWidth),
                               rows(text.v, first, n, kKvHeads, kValueWidth), options);
    return {y.data<float>(), y.data<float>() + y.elements()};
  }
  std::vector<float> whole(const Text& text, int64_t chunk, const AttentionOptions& options) {
    const TrackId track = kv.open();
    std::vector<float> out;
    for (int64_t first = 0; first < text.n; first += chunk) {
      const auto part = step(text, track, first, std::min(chunk, text.n - first), options);
      out.insert(out.end(), part.begin(), part.end());
    }
    kv.close(track);
    return out;
  }

  Arena arena;
  ThreadPool pool;
  Ctx ctx;
  KvCache kv;
};

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

std::vector<double> reference(const Text& t, const AttentionOptions& o) {
  std::vector<double> out(size_t(t.n * kHeads * kValueWidth));
  for (int64_t r = 0; r < t.n; ++r)
    for (int64_t h = 0; h < kHeads; ++h) {
      const int64_t g = h / (kHeads / kKvHeads), first = o.window > 0 ? std::max<int64_t>(0, r + 1 - o.window) : 0;
      std::vector<double> s;
      double top = o.sinks ? o.sinks->data<float>()[h] : -1e300, sum = 0;
      for (int64_t c = first; c <= r; ++c) {
        double dot = 0;
        for (int64_t i = 0; i < kWidth; ++i)
          dot += double(t.q[size_t((r * kHeads + h) * kWidth + i)]) * t.k[size_t((c * kKvHeads + g) * kWidth + i)];
        dot *= o.scale;
        if (o.softcap > 0) dot = o.softcap * std::tanh(dot / o.softcap);
        if (o.bias)
          dot += o.bias->data<float>()[h * o.bias->dim(1) + std::clamp<int64_t>(c - r + o.bias_center, 0, o.bias->dim(1) - 1)];
        s.push_back(dot);
        top = std::max(top, dot);
      }
      for (double& x : s) sum += x = std::exp(x - top);
      if (o.sinks) sum += std::exp(o.sinks->data<float>()[h] - top);
      for (int64_t c = first; c <= r; ++c)
        for (int64_t i = 0; i < kValueWidth; ++i)
          out[size_t((r * kHeads + h) * kValueWidth + i)] +=
              s[size_t(c - first)] / sum * t.v[size_t((c * kKvHeads + g) * kValueWidth + i)];
    }
  return out;
}

std::vector<AttentionOptions> every_option(const Tensor& sinks, const Tensor& bias) {
  return {{.scale = 0.2f},
          {.scale = 0.2f, .window = 100},
          {.scale = 0.2f, .softcap = 3},
          {.scale = 0.2f, .sinks = &sinks},
          {.scale = 0.2f, .window = 17, .bias = &bias, .bias_center = 20}};
}

struct Extras {
  Extras() : sinks(heap_tensor({kHeads}, DType::f32)), bias(heap_tensor({kHeads, 30}, DType::f32)) {
    for (int64_t i = 0; i < sinks.elements(); ++i) sinks.data<float>()[i] = float(i) - 2;
    for (int64_t i = 0; i < bias.elements(); ++i) bias.data<float>()[i] = float(i % 7) * 0.3f - 1;
  }
  Tensor sinks, bias;
};

TEST(KvCache, AttentionMatchesDoubleReference) {
  const Text text(600, 5);
  const Extras extras;
  for (const auto& options : every_option(extras.sinks, extras.bias)) {
    Runner run(detect_cpu().isas.back());
    const auto got = run.whole(text, 600, options);
    const auto expected = reference(text, options);
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i) worst = std::max(worst, std::fabs(got[i] - expected[i]));
    EXPECT_LT(worst, 2e-5);
  }
}

TEST(KvCache, BitIdentityChunksThreadsAndSets) {
  const Text text(300, 9);
  const Extras extras;
  for (const auto& options : every_option(extras.sinks, extras.bias))
    for (KvType type : {KvType::f32, KvType::f16, KvType::bf16, KvType::q8_0}) {
      const auto expected = Runner(Isa::generic, type).whole(text, 300, options);
      for (Isa isa : detect_cpu().isas)
        for (int64_t chunk : {1, 7, 133})
          EXPECT_TRUE(same(Runner(isa, type, 2).whole(text, chunk, options), expected)) << isa_name(isa) << " chunk " << chunk;
    }
}

// The control: a span boundary elsewhere (the same text shifted by 100 slots) changes bits, so the test above can fail.
TEST(KvCache, BitIdentityControlSpansMatter) {
  const Text text(530, 9);
  const AttentionOptions options{.scale = 0.2f};
  const auto expected = Runner().whole(text, 530, options);
  Runner run;
  const TrackId track = run.kv.open();
  ASSERT_TRUE(run.kv.reserve(track, 630));
  Batch batch;
  const std::vector<int32_t> ids(530, 0);
  batch.add_causal(track, ids.data(), 530, 100);
  for (auto& begin : batch.attend_begin) begin = 100;
  const Tensor y =
      run.kv.attend(run.ctx, 0, batch, run.rows(text.q, 0, 530, kHeads, kWidth), run.rows(text.k, 0, 530, kKvHeads, kWidth),
                    run.rows(text.v, 0, 530, kKvHeads, kValueWidth), options);
  EXPECT_FALSE(same({y.data<float>(), y.data<float>() + y.elements()}, expected));
}

// What another request left behind, NaN and infinity included, never reaches a row.
TEST(KvCache, BitIdentityRecycledPagesAndHugeValues) {
  const Text text(200, 3);
  const AttentionOptions options{.scale = 0.2f};
  const auto clean = Runner(Isa::generic, KvType::f16).whole(text, 50, options);
  Runner run(Isa::generic, KvType::f16);
  Text poison(200, 4);
  for (size_t i = 0; i < poison.k.size(); i += 3) poison.k[i] = i % 2 ? std::nanf("") : 1e30f;
  for (size_t i = 0; i < poison.v.size(); i += 3) poison.v[i] = i % 2 ? -INFINITY : 1e30f;
  run.whole(poison, 200, options);
  EXPECT_TRUE(same(run.whole(text, 50, options), clean));
}

TEST(KvCache, PoolAccounting) {
  KvCache kv({SelfLayer{1, 16, 16}, NoLayer{}, SharedLayer{0}}, KvType::f16, 4);
  EXPECT_EQ(KvCache::block_bytes({SelfLayer{1, 16, 16}}, KvType::f16), 64 * 16 * 2 * 2);
  const TrackId a = kv.open(), b = kv.open();
  EXPECT_NE(a, b);
  EXPECT_TRUE(kv.reserve(a, 65));
  EXPECT_EQ(kv.free_blocks(), 2);
  EXPECT_FALSE(kv.reserve(b, 64 * 3));
  EXPECT_EQ(kv.free_blocks(), 2);
  EXPECT_TRUE(kv.reserve(b, 128));
  kv.commit(a, 64);
  kv.truncate(a, 64);
  EXPECT_EQ(kv.free_blocks(), 1);
  kv.close(a);
  kv.close(b);
  EXPECT_EQ(kv.free_blocks(), 4);
  EXPECT_EQ(kv.open(), a);
}

}  // namespace
}  // namespace gale
