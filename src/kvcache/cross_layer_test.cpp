#include <gtest/gtest.h>

#include <cmath>

#include "base/cpu.h"
#include "base/rng.h"
#include "kvcache/kvcache.h"

// Cross layers: sources written once and seen by texts.
namespace gale {
namespace {

constexpr int64_t kHeads = 4, kKvHeads = 2, kKey = 24, kValue = 40;

std::vector<float> random_values(int64_t n, uint64_t seed) {
  SplitMix64 random{seed};
  std::vector<float> out(static_cast<size_t>(n));
  for (float& v : out) v = random.uniform() * 2 - 1;
  return out;
}

/// Keys and values of what a text sees.
struct Source {
  Source(int64_t rows, uint64_t seed)
      : rows(rows), k(random_values(rows * kKvHeads * kKey, seed)), v(random_values(rows * kKvHeads * kValue, seed + 1)) {
    BlockNames names(KeyedHash::Key{});
    std::vector<int32_t> ids(size_t((rows + 63) / 64 * 64), int32_t(seed));
    names.extend(this->names, names.root("picture"), ids);
  }
  int64_t rows;
  std::vector<float> k, v;
  std::vector<BlockName> names;
};

class CrossLayers : public ::testing::Test {
 protected:
  Tensor tensor(int64_t rows, int64_t heads, int64_t width, const std::vector<float>& values) {
    const Tensor out = ctx.tensor({rows, heads, width});
    std::copy(values.begin(), values.end(), out.data<float>());
    return out;
  }

  // Rows that are written; those that were there are not.
  int64_t show(TrackId text, const Source& source) {
    KvCache& sources = *kv.sources();
    const TrackId track = sources.open();
    const int64_t there = std::min(sources.adopt(track, source.names, int64_t(source.names.size()) * 64), source.rows);
    const int64_t rows = source.rows - there;
    if (rows > 0) {
      EXPECT_EQ(there, 0) << "sources have nothing in common";
      EXPECT_TRUE(sources.reserve(track, source.rows));
      Batch batch;
      const std::vector<int32_t> ids(size_t(rows), 0);
      batch.add_causal(track, ids.data(), int32_t(rows), 0);
      sources.write(ctx, 1, batch, tensor(rows, kKvHeads, kKey, source.k), tensor(rows, kKvHeads, kValue, source.v));
      sources.commit(track, (source.rows + 63) / 64 * 64, source.names);
    }
    kv.see(text, track, source.rows);
    return rows;
  }

  // One row of each text; a null source: it sees none.
  void expect_seen(const std::vector<std::pair<TrackId, const Source*>>& texts, uint64_t seed) {
    Batch batch;
    const int32_t id = 0;
    for (const auto& [text, source] : texts) batch.add_causal(text, &id, 1, 0);
    const auto queries = random_values(int64_t(texts.size()) * kHeads * kKey, seed);
    const AttentionOptions options{.scale = 0.3f};
    const Tensor y = kv.attend_source(ctx, 1, batch, tensor(int64_t(texts.size()), kHeads, kKey, queries), options);
    for (size_t t = 0; t < texts.size(); ++t)
      for (int64_t head = 0; head < kHeads; ++head) {
        std::vector<double> expected(kValue), weights;
        const Source* source = texts[t].second;
        double sum = 0;
        for (int64_t row = 0; source != nullptr && row < source->rows; ++row) {
          double dot = 0;
          for (int64_t i = 0; i < kKey; ++i)
            dot += double(queries[(t * kHeads + size_t(head)) * kKey + size_t(i)]) *
                   double(source->k[size_t((row * kKvHeads + head / 2) * kKey + i)]);
          sum += weights.emplace_back(std::exp(double(options.scale) * dot));
        }
        for (size_t row = 0; row < weights.size(); ++row)
          for (int64_t i = 0; i < kValue; ++i)
            expected[size_t(i)] +=
                weights[row] / sum * double(source->v[(row * kKvHeads + size_t(head) / 2) * kValue + size_t(i)]);
        for (int64_t i = 0; i < kValue; ++i)
          EXPECT_NEAR(double(y.data<float>()[(int64_t(t) * kHeads + head) * kValue + i]), expected[size_t(i)], 1e-5)
              << "text " << t << ", head " << head;
      }
  }

  Arena arena{size_t(8) << 20};
  ThreadPool pool{2};
  Ctx ctx{arena, pool, cpu_kernels(detect_cpu().isas.back())};
  std::vector<CacheLayer> layers = {SelfLayer{2, 16, 16, 0}, CrossLayer{int32_t(kKvHeads), int32_t(kKey), int32_t(kValue)}};
  KvCache kv{layers, KvType::f32, {20}, 64, false, 6};
};

TEST_F(CrossLayers, EachTextSeesItsSource) {
  const Source a(70, 1), b(9, 5);
  const TrackId first = kv.open(), second = kv.open(), none = kv.open();
  EXPECT_EQ(show(first, a), 70);
  EXPECT_EQ(show(second, b), 9);
  expect_seen({{first, &a}, {second, &b}, {none, nullptr}}, 11);
  expect_seen({{none, nullptr}, {second, &b}, {second, &b}, {first, &a}}, 12);
  EXPECT_EQ(kv.sources()->free_blocks(), 6 - 2 - 1);
}

TEST_F(CrossLayers, ASourceIsWrittenOnceForAllTexts) {
  const Source a(70, 1), others[] = {{200, 2}, {250, 3}};
  const TrackId first = kv.open(), second = kv.open();
  EXPECT_EQ(show(first, a), 70);
  EXPECT_EQ(show(second, a), 0);
  expect_seen({{first, &a}, {second, &a}}, 1);
  kv.close(first);
  kv.close(second);
  EXPECT_EQ(kv.sources()->held_bytes(), 0);
  const TrackId third = kv.open();
  EXPECT_EQ(show(third, a), 0) << "kept until its memory is wanted";
  expect_seen({{third, &a}}, 2);
  kv.close(third);
  for (const Source& other : others) {
    const TrackId text = kv.open();
    EXPECT_EQ(show(text, other), other.rows);
    expect_seen({{text, &other}}, 3);
    kv.close(text);
  }
  EXPECT_EQ(show(kv.open(), a), 70) << "it was wanted";
}

TEST_F(CrossLayers, ForksSeeWhatTheirParentSees) {
  const Source a(70, 1);
  const TrackId parent = kv.open(), child = kv.open();
  show(parent, a);
  ASSERT_TRUE(kv.reserve(parent, 10));
  kv.commit(parent, 10);
  ASSERT_TRUE(kv.share(child, parent, 10));
  kv.close(parent);
  expect_seen({{child, &a}}, 4);
  kv.close(child);
  EXPECT_EQ(kv.sources()->held_bytes(), 0);
}

TEST(CrossLayersNone, CostNothing) {
  KvCache kv({SelfLayer{2, 16, 16, 0}}, KvType::f32, 4);
  EXPECT_EQ(kv.sources(), nullptr);
  EXPECT_EQ(KvCache::source_need({SelfLayer{2, 16, 16, 0}}, KvType::f32, 100).block_bytes, 0);
  const KvNeed need = KvCache::source_need({NoLayer{}, CrossLayer{2, 16, 16}}, KvType::f32, 100);
  EXPECT_EQ(need.blocks, 2);
  EXPECT_EQ(need.block_bytes, 64 * 2 * (16 + 16) * 4);
}

}  // namespace
}  // namespace gale
