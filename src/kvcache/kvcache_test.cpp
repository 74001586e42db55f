#include "kvcache/kvcache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <span>

#include "base/fail.h"
#include "base/rng.h"
#include "kvcache/kv_format.h"

namespace gale {
namespace {

// Keys and values of every type, and mixtures of every kind of arithmetic.
const KvFormat kTypes[] = {KvType::f32,
                           KvType::f16,
                           KvType::bf16,
                           KvType::fp8,
                           KvType::q8_0,
                           KvType::q4_0,
                           {KvType::q8_0, KvType::q4_0},
                           {KvType::q4_0, KvType::bf16},
                           {KvType::fp8, KvType::f32}};
// Those without a mixture, for what takes long: each side has its arithmetic from its own type.
const std::span<const KvFormat> kPlainTypes = std::span(kTypes).first(6);

struct Heads {
  int64_t heads = 6, kv_heads = 2, k_width = 40, v_width = 72;
};

std::vector<float> random_values(int64_t n, uint64_t seed, float range = 2) {
  SplitMix64 random{seed};
  std::vector<float> out(static_cast<size_t>(n));
  for (float& v : out) v = (random.uniform() * 2 - 1) * range;
  return out;
}

struct Text {  // q, k, v of every position of one sequence
  Text(int64_t n, uint64_t seed, const Heads& h = {}, float range = 2)
      : n(n),
        h(h),
        q(random_values(n * h.heads * h.k_width, seed, range)),
        k(random_values(n * h.kv_heads * h.k_width, seed + 1, range)),
        v(random_values(n * h.kv_heads * h.v_width, seed + 2, range)) {}
  int64_t n;
  Heads h;
  std::vector<float> q, k, v;
};

struct Part {  // rows [first, first + n) of a text
  const Text& text;
  TrackId track;
  int64_t first, n;
};

struct Runner {
  explicit Runner(Isa isa = Isa::generic, const KvFormat& type = KvType::f32, int threads = 1, const Heads& h = {})
      : arena(size_t(64) << 20),
        pool(threads),
        ctx{arena, pool, cpu_kernels(isa)},
        h(h),
        kv({SelfLayer{int32_t(h.kv_heads), int32_t(h.k_width), int32_t(h.v_width)}}, type, 64 * 64 / type.block_slots) {}

  // The parts as one batch; outputs one part after another.
  std::vector<float> step(const std::vector<Part>& parts, const AttentionOptions& options) {
    return step_of_layer(0, parts, options);
  }
  std::vector<float> step_of_layer(int32_t layer, const std::vector<Part>& parts, const AttentionOptions& options) {
    Batch batch;
    int64_t rows = 0;
    for (const Part& p : parts) rows += p.n;
    const Tensor q = ctx.tensor({rows, h.heads, h.k_width}), k = ctx.tensor({rows, h.kv_heads, h.k_width}),
                 v = ctx.tensor({rows, h.kv_heads, h.v_width});
    const auto copy = [](const Tensor& to, int64_t row, const std::vector<float>& from, int64_t first, int64_t n) {
      const int64_t width = to.dim(1) * to.dim(2);
      std::memcpy(to.data<float>() + row * width, from.data() + first * width, size_t(n * width) * sizeof(float));
    };
    for (const Part& p : parts) {
      EXPECT_TRUE(kv.reserve(p.track, p.first + p.n));
      const int64_t row = batch.rows();
      const std::vector<int32_t> ids(static_cast<size_t>(p.n), 0);
      batch.add_causal(p.track, ids.data(), int32_t(p.n), int32_t(p.first));
      copy(q, row, p.text.q, p.first, p.n);
      copy(k, row, p.text.k, p.first, p.n);
      copy(v, row, p.text.v, p.first, p.n);
    }
    const Tensor y = kv.attend(ctx, layer, batch, q, k, v, options);
    return {y.data<float>(), y.data<float>() + y.elements()};
  }
  // A text in pieces of `chunk` rows; 0: of random sizes.
  std::vector<float> whole(const Text& text, int64_t chunk, const AttentionOptions& options) {
    const TrackId track = kv.open();
    SplitMix64 random{uint64_t(text.n)};
    std::vector<float> out;
    for (int64_t first = 0, n = 0; first < text.n; first += n) {
      n = std::min(chunk > 0 ? chunk : 1 + int64_t(random() % 90), text.n - first);
      const auto part = step({{text, track, first, n}}, options);
      out.insert(out.end(), part.begin(), part.end());
    }
    kv.close(track);
    return out;
  }

  Arena arena;
  ThreadPool pool;
  Ctx ctx;
  Heads h;
  KvCache kv;
};

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<double> reference(const Text& t, const AttentionOptions& o) {
  const Heads& h = t.h;
  std::vector<double> out(size_t(t.n * h.heads * h.v_width));
  for (int64_t r = 0; r < t.n; ++r)
    for (int64_t head = 0; head < h.heads; ++head) {
      const int64_t g = head / (h.heads / h.kv_heads), first = o.window > 0 ? std::max<int64_t>(0, r + 1 - o.window) : 0;
      std::vector<double> s;
      double top = o.sinks ? o.sinks->data<float>()[head] : -1e300, sum = 0;
      for (int64_t c = first; c <= r; ++c) {
        double dot = 0;
        for (int64_t i = 0; i < h.k_width; ++i)
          dot += double(t.q[size_t((r * h.heads + head) * h.k_width + i)]) * t.k[size_t((c * h.kv_heads + g) * h.k_width + i)];
        dot *= o.scale;
        if (o.softcap > 0) dot = o.softcap * std::tanh(dot / o.softcap);
        if (o.bias)
          dot += o.bias->data<float>()[head * o.bias->dim(1) + std::clamp<int64_t>(c - r + o.bias_center, 0, o.bias->dim(1) - 1)];
        s.push_back(dot);
        top = std::max(top, dot);
      }
      for (double& x : s) sum += x = std::exp(x - top);
      if (o.sinks) sum += std::exp(o.sinks->data<float>()[head] - top);
      for (int64_t c = first; c <= r; ++c)
        for (int64_t i = 0; i < h.v_width; ++i)
          out[size_t((r * h.heads + head) * h.v_width + i)] +=
              s[size_t(c - first)] / sum * t.v[size_t((c * h.kv_heads + g) * h.v_width + i)];
    }
  return out;
}

// Largest error, and the root of the mean square, as shares of the largest value a text holds.
struct Errors {
  double worst = 0, rms = 0;
};
Errors compare(const std::vector<float>& got, const std::vector<double>& expected) {
  Errors out;
  for (size_t i = 0; i < got.size(); ++i) {
    const double e = std::fabs(got[i] - expected[i]);
    out.worst = e > out.worst || std::isnan(e) ? e : out.worst;
    out.rms += e * e / double(got.size());
  }
  return {out.worst / 2, std::sqrt(out.rms) / 2};
}
// What rounding to the type allows.
Errors allowed_of(KvType type) {
  switch (type) {
    case KvType::f32:
      return {1e-5, 1e-6};
    case KvType::f16:
      return {2e-3, 2e-4};
    case KvType::bf16:
      return {1.5e-2, 1.5e-3};
    case KvType::fp8:
      return {1.2e-1, 1.5e-2};
    case KvType::q8_0:
      return {2e-2, 2.5e-3};
    case KvType::q4_0:
      return {2e-1, 4e-2};
  }
  return {};
}
Errors allowed(const KvFormat& format) {
  const Errors k = allowed_of(format.k), v = allowed_of(format.v);
  return {std::max(k.worst, v.worst), std::max(k.rms, v.rms)};
}

std::vector<AttentionOptions> every_option(const Tensor& sinks, const Tensor& bias) {
  return {{.scale = 0.2f},
          {.scale = 0.2f, .window = 100},
          {.scale = 0.2f, .softcap = 3},
          {.scale = 0.2f, .sinks = &sinks},
          {.scale = 0.2f, .window = 17, .bias = &bias, .bias_center = 20}};
}

struct Extras {
  Extras() : sinks(heap_tensor({6}, DType::f32)), bias(heap_tensor({6, 30}, DType::f32)) {
    for (int64_t i = 0; i < sinks.elements(); ++i) sinks.data<float>()[i] = float(i) - 2;
    for (int64_t i = 0; i < bias.elements(); ++i) bias.data<float>()[i] = float(i % 7) * 0.3f - 1;
  }
  Tensor sinks, bias;
};

TEST(KvCache, AttentionMatchesDoubleReference) {
  const Text text(600, 5);
  const Extras extras;
  for (const auto& options : every_option(extras.sinks, extras.bias)) {
    const auto expected = reference(text, options);
    for (const KvFormat& type : kTypes) {
      const Errors e = compare(Runner(detect_cpu().isas.back(), type).whole(text, 600, options), expected);
      EXPECT_LT(e.worst, allowed(type).worst) << kv_format_name(type);
      EXPECT_LT(e.rms, allowed(type).rms) << kv_format_name(type);
    }
  }
}

// Odd widths, wide heads, K and V of different width, groups beyond a tile.
TEST(KvCache, AttentionOfEveryWidthMatchesReferenceAndGeneric) {
  const Heads shapes[] = {{2, 2, 1, 1},     {4, 1, 17, 33},   {4, 2, 64, 64}, {3, 1, 80, 80},   {2, 1, 96, 96},
                          {5, 1, 128, 128}, {2, 1, 256, 256}, {31, 1, 24, 8}, {9, 1, 576, 512}, {7, 1, 1024, 1024}};
  for (const Heads& h : shapes) {
    const Text text(70, 11, h);
    const AttentionOptions options{.scale = float(0.5 / std::sqrt(double(h.k_width)))};
    const auto expected = reference(text, options);
    for (const KvFormat& type : kTypes) {
      const auto generic = Runner(Isa::generic, type, 1, h).whole(text, 70, options);
      EXPECT_LT(compare(generic, expected).worst, allowed(type).worst) << kv_format_name(type) << " " << h.k_width;
      for (Isa isa : detect_cpu().isas)
        EXPECT_TRUE(same(Runner(isa, type, 3, h).whole(text, 9, options), generic))
            << isa_name(isa) << " " << kv_format_name(type) << " " << h.k_width;
    }
  }
}

TEST(KvCache, BitIdentityChunksThreadsAndSets) {
  const Text text(300, 9);
  const Extras extras;
  for (const auto& options : every_option(extras.sinks, extras.bias))
    for (const KvFormat& type : kPlainTypes) {
      const auto expected = Runner(Isa::generic, type).whole(text, 300, options);
      for (Isa isa : detect_cpu().isas) {
        if (isa == Isa::generic) continue;
        for (int64_t chunk : {1, 7, 133})
          EXPECT_TRUE(same(Runner(isa, type, 2).whole(text, chunk, options), expected))
              << isa_name(isa) << " " << kv_format_name(type) << " chunk " << chunk;
      }
    }
}

// Where blocks begin is nobody's business but the memory's.
TEST(KvCache, BitIdentityBlocksOfEverySize) {
  const Text text(300, 9);
  for (const AttentionOptions& options : {AttentionOptions{.scale = 0.2f}, AttentionOptions{.scale = 0.2f, .window = 70}})
    for (const KvFormat& type : kTypes)
      for (Isa isa : {detect_cpu().isas.front(), detect_cpu().isas.back()}) {
        const auto expected = Runner(isa, type).whole(text, 300, options);
        for (int64_t slots : {16, 32})
          for (int64_t chunk : {0, 1})
            EXPECT_TRUE(same(Runner(isa, {type.k, type.v, slots}, 2).whole(text, chunk, options), expected))
                << kv_format_name(type) << " " << slots << " " << isa_name(isa);
      }
}

// Positions 0..1099: five spans, rows in one tile and in many, parts of a row on several threads and in several rounds.
TEST(KvCache, BitIdentityLongTextsInEveryChunking) {
  const Heads h{6, 1, 12, 20};
  const Text text(1100, 21, h);
  for (const KvFormat& type : kPlainTypes)
    for (const AttentionOptions& options : {AttentionOptions{.scale = 0.2f}, AttentionOptions{.scale = 0.2f, .window = 400}}) {
      const Isa isa = detect_cpu().isas.back();
      const auto expected = Runner(isa, type, 1, h).whole(text, 1100, options);
      for (int threads : {1, 2, 5})
        for (int64_t chunk : {0, 1, 7, 13, 64})
          EXPECT_TRUE(same(Runner(isa, type, threads, h).whole(text, chunk, options), expected))
              << kv_format_name(type) << " chunk " << chunk << " threads " << threads;
    }
}

// Rows of several texts in one batch have the bits they have alone.
TEST(KvCache, BitIdentityInABatch) {
  const AttentionOptions options{.scale = 0.2f, .window = 300};
  const Text a(700, 1), b(90, 2), c(400, 3);
  for (const KvFormat& type : kTypes) {
    const Isa isa = detect_cpu().isas.back();
    std::vector<float> alone;
    for (const Text* text : {&a, &b, &c}) {
      const auto all = Runner(isa, type).whole(*text, 100, options);
      alone.insert(alone.end(), all.end() - 30 * 6 * 72, all.end());
    }
    Runner run(isa, type, 4);
    std::vector<Part> last;
    for (const Text* text : {&a, &b, &c}) {
      const TrackId track = run.kv.open();
      run.step({{*text, track, 0, text->n - 30}}, options);
      last.push_back({*text, track, text->n - 30, 30});
    }
    EXPECT_TRUE(same(run.step(last, options), alone)) << kv_format_name(type);
  }
}

// Magnitudes where the bf16 instruction would flush what two fused multiply-adds keep.
TEST(KvCache, BitIdentityTinyAndHugeValues) {
  for (float range : {1e-38f, 1e-20f, 3e-17f, 1e-12f, 1e9f, 1e18f})
    for (const KvFormat& type : kPlainTypes) {
      const Text text(150, 31, {}, range);
      const AttentionOptions options{.scale = range > 1 ? 1e-20f : 1.0f};
      const auto expected = Runner(Isa::generic, type).whole(text, 150, options);
      for (Isa isa : detect_cpu().isas)
        EXPECT_TRUE(same(Runner(isa, type).whole(text, 40, options), expected))
            << isa_name(isa) << " " << kv_format_name(type) << " " << range;
    }
}

// The control: a span boundary elsewhere (the same text shifted by 100 slots) changes bits, so the tests above can fail.
TEST(KvCache, BitIdentityControlSpansMatter) {
  const Text text(530, 9);
  const AttentionOptions options{.scale = 0.2f};
  for (const KvFormat& type : kTypes) {
    const Isa isa = detect_cpu().isas.back();
    const auto expected = Runner(isa, type).whole(text, 530, options);
    Runner run(isa, type);
    const TrackId track = run.kv.open();
    ASSERT_TRUE(run.kv.reserve(track, 630));
    Batch batch;
    const std::vector<int32_t> ids(530, 0);
    batch.add_causal(track, ids.data(), 530, 100);
    for (auto& begin : batch.attend_begin) begin = 100;
    const auto rows = [&](const std::vector<float>& from, int64_t heads, int64_t width) {
      const Tensor t = run.ctx.tensor({530, heads, width});
      std::memcpy(t.data<float>(), from.data(), from.size() * sizeof(float));
      return t;
    };
    const Tensor y = run.kv.attend(run.ctx, 0, batch, rows(text.q, 6, 40), rows(text.k, 2, 40), rows(text.v, 2, 72), options);
    EXPECT_FALSE(same({y.data<float>(), y.data<float>() + y.elements()}, expected)) << kv_format_name(type);
  }
}

// What another request left behind, NaN and infinity included, never reaches a row; nor does what a later row of the page holds.
TEST(KvCache, BitIdentityRecycledPagesAndHugeValues) {
  const Text text(200, 3);
  const AttentionOptions options{.scale = 0.2f};
  const auto poison = [](std::vector<float>& values, size_t from) {
    for (size_t i = from; i < values.size(); i += 3) values[i] = i % 2 ? std::nanf("") : i % 4 ? -INFINITY : 1e30f;
  };
  for (Isa isa : detect_cpu().isas)
    for (const KvFormat& type : kPlainTypes) {
      const auto clean = Runner(isa, type).whole(text, 50, options);
      Runner run(isa, type);
      Text bad(200, 4);
      poison(bad.k, 0);
      poison(bad.v, 0);
      run.whole(bad, 200, options);
      EXPECT_TRUE(same(run.whole(text, 50, options), clean)) << isa_name(isa);
      Text late = text;  // poison from row 170 on: rows before it, in the same page and chunk, stay as they are
      poison(late.k, 170 * 2 * 40);
      poison(late.v, 170 * 2 * 72);
      auto got = run.whole(late, 200, options), want = clean;
      got.resize(170 * 6 * 72);
      want.resize(got.size());
      EXPECT_TRUE(same(got, want)) << isa_name(isa);
    }
}

TEST(KvCache, TypesByName) {
  for (const KvFormat& type : kTypes) EXPECT_EQ(choose_kv_format(kv_format_name(type), true), type);
  EXPECT_EQ(choose_kv_format("", true), KvType::f32);
  EXPECT_EQ(choose_kv_format("", false, 16), KvFormat(KvType::bf16, KvType::bf16, 16));
  for (const char* bad : {"q3", "q8_0/", "/q8_0", "q8_0/q4_0/f16", "Q8_0"})
    EXPECT_THROW(choose_kv_format(bad, false), Error) << bad;
  for (int64_t slots : {0, 8, 48, 128}) EXPECT_THROW(choose_kv_format("f16", false, slots), Error) << slots;
}

TEST(KvCache, PoolAccounting) {
  KvCache kv({SelfLayer{1, 16, 16}, NoLayer{}, SharedLayer{0}}, KvType::f16, 4);
  const auto block_bytes = [](const SelfLayer& layer, const KvFormat& type) {
    return KvCache::needs({layer}, type, 1, 1)[0].block_bytes;
  };
  EXPECT_EQ(block_bytes({1, 16, 16}, KvType::f16), 64 * 16 * 2 * 2);
  EXPECT_EQ(block_bytes({2, 128, 128}, KvType::q8_0), 64 * 2 * (128 + 4 * 2 + 128 + 2));
  EXPECT_EQ(block_bytes({2, 128, 128}, KvType::fp8), 64 * 2 * (128 + 2 + 128 + 2));
  EXPECT_EQ(block_bytes({2, 128, 128}, KvType::q4_0), 64 * 2 * (2 * (64 + 4 * 2)));
  EXPECT_EQ(block_bytes({2, 128, 128}, {KvType::q8_0, KvType::q4_0, 16}), 16 * 2 * (128 + 4 * 2 + 64 + 4 * 2));
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

TEST(KvCache, AModelThatKeepsNothingTakesNothing) {
  KvCache kv({NoLayer{}, NoLayer{}}, KvType::f32, int64_t(1) << 40);
  EXPECT_TRUE(KvCache::needs({NoLayer{}}, KvType::f32, 1000, 1).empty());
  EXPECT_EQ(kv.held_bytes(), 0);
  const TrackId track = kv.open();
  EXPECT_TRUE(kv.reserve(track, int64_t(1) << 50));
  kv.commit(track, 1000, std::vector<BlockName>(15));
  EXPECT_EQ(kv.adopt(kv.open(), std::vector<BlockName>(15), 900), 0);
  KvRoom room(kv);
  EXPECT_TRUE(room.grow(track, 1 << 30));
  EXPECT_TRUE(room.join({}, 1 << 30));
}

std::vector<BlockName> names_for(int64_t slots, int32_t token) {
  const BlockNames names(KeyedHash::Key{});
  std::vector<BlockName> out;
  names.extend(out, names.root(""), std::vector<int32_t>(size_t(slots), token));
  return out;
}

// What one text left is another's beginning, and the rows behind it come out as if they had made all of it themselves.
TEST(KvCache, ATextGoesOnFromWhatAnotherLeft) {
  for (const KvFormat& type : kTypes) {
    Runner run(Isa::generic, type);
    const Text text(300, 5);
    const auto names = names_for(300, 1);
    const auto expected = run.whole(text, 0, {});
    const TrackId first = run.kv.open();
    run.step({{text, first, 0, 200}}, {});
    run.kv.commit(first, 200, names);
    run.kv.close(first);
    EXPECT_EQ(run.kv.free_blocks(), 64) << "kept blocks are free to whoever needs them";
    const TrackId second = run.kv.open();
    EXPECT_EQ(run.kv.adopt(second, names, 150), 128) << "whole blocks of 150 slots";
    EXPECT_EQ(run.kv.adopt(second, names, 299), 192) << "the next one too";
    const auto rest = run.step({{text, second, 192, 108}}, {});
    EXPECT_TRUE(same(rest, {expected.end() - int64_t(rest.size()), expected.end()}));
    run.kv.close(second);
    const TrackId other = run.kv.open();
    EXPECT_EQ(run.kv.adopt(other, names_for(300, 2), 299), 0);
    run.kv.close(other);
    run.kv.forget();
    EXPECT_EQ(run.kv.adopt(run.kv.open(), names, 299), 0);
  }
}

// Two texts part in the middle of a block: both see what they wrote themselves, whoever writes first.
TEST(KvCache, ASharedBlockIsCopiedByWhoWritesFirst) {
  for (const bool owner_first : {false, true}) {
    Runner run;
    const Text a(170, 7), other(170, 900);
    Text b = a;
    const auto from = [](std::vector<float>& to, const std::vector<float>& source, int64_t row) {
      const int64_t width = int64_t(to.size()) / 170;
      std::copy(source.begin() + row * width, source.end(), to.begin() + row * width);
    };
    from(b.q, other.q, 100), from(b.k, other.k, 100), from(b.v, other.v, 100);
    const auto expected_a = run.whole(a, 0, {}), expected_b = run.whole(b, 0, {});
    const TrackId one = run.kv.open(), two = run.kv.open();
    run.step({{a, one, 0, 110}}, {});
    run.kv.commit(one, 110);
    EXPECT_TRUE(run.kv.share(two, one, 100));
    EXPECT_EQ(run.kv.free_blocks(), 62) << "two blocks, both of both";
    const auto go = [&](const Text& text, TrackId track, int64_t first, const std::vector<float>& expected) {
      const auto rest = run.step({{text, track, first, 170 - first}}, {});
      EXPECT_TRUE(same(rest, {expected.end() - int64_t(rest.size()), expected.end()}));
    };
    if (owner_first) go(a, one, 110, expected_a), go(b, two, 100, expected_b);
    if (!owner_first) go(b, two, 100, expected_b), go(a, one, 110, expected_a);
    EXPECT_EQ(run.kv.free_blocks(), 64 - 1 - 2 - 2);
    run.kv.close(one);
    run.kv.close(two);
    EXPECT_EQ(run.kv.free_blocks(), 64);
  }
}

// The one who shared the block has filled it, named it and gone: it is not the other's to write to.
TEST(KvCache, ABlockThatGotANameIsCopiedToo) {
  Runner run;
  const Text text(128, 7), other(128, 900);
  const auto names = names_for(128, 1);
  const auto expected = run.whole(text, 0, {});
  const TrackId one = run.kv.open(), two = run.kv.open(), three = run.kv.open();
  run.step({{text, one, 0, 30}}, {});
  run.kv.commit(one, 30, names);
  EXPECT_TRUE(run.kv.share(two, one, 20));
  run.step({{text, one, 30, 34}}, {});
  run.kv.commit(one, 64, names);
  run.kv.close(one);
  run.step({{other, two, 20, 44}}, {});
  EXPECT_EQ(run.kv.adopt(three, names, 127), 64);
  const auto rest = run.step({{text, three, 64, 64}}, {});
  EXPECT_TRUE(same(rest, {expected.end() - int64_t(rest.size()), expected.end()}));
}

// The other has given back what lies behind its window, ours begins further back: the blocks between are nobody's.
TEST(KvCache, SharingOverAGapLeavesItBehind) {
  KvCache kv({SelfLayer{1, 16, 16, 64}}, KvType::f16, 8);
  const auto names = names_for(300, 1);
  const TrackId other = kv.open(), ours = kv.open();
  EXPECT_TRUE(kv.reserve(other, 64));
  kv.commit(other, 64, names);
  EXPECT_EQ(kv.adopt(ours, names, 64), 64);
  EXPECT_TRUE(kv.reserve(other, 200));
  kv.commit(other, 200, names);
  EXPECT_TRUE(kv.share(ours, other, 192));
  EXPECT_TRUE(kv.reserve(ours, 260));
  kv.commit(ours, 260, names);
  kv.close(ours);
  kv.close(other);
  EXPECT_EQ(kv.free_blocks(), 8);
}

TEST(KvCache, TheSameBlockMadeTwiceIsKeptOnce) {
  KvCache kv({SelfLayer{1, 16, 16}}, KvType::f16, 8);
  const auto names = names_for(128, 1);
  const TrackId a = kv.open(), b = kv.open();
  EXPECT_TRUE(kv.reserve(a, 130) && kv.reserve(b, 130));
  EXPECT_EQ(kv.free_blocks(), 2);
  kv.commit(a, 130, names);
  kv.commit(b, 129, names);
  EXPECT_EQ(kv.free_blocks(), 4);
  kv.close(a);
  EXPECT_EQ(kv.free_blocks(), 5);
  EXPECT_EQ(kv.kept_bytes(), 0);
  kv.close(b);
  EXPECT_EQ(kv.kept_bytes(), 2 * KvCache::needs({SelfLayer{1, 16, 16}}, KvType::f16, 1, 1)[0].block_bytes);
}

// One layer sees everything, the other 100 slots: its pool needs but a few blocks however long the text grows, with the same
// bits.
TEST(KvCache, BlocksBehindTheWindowAreGivenBack) {
  const std::vector<CacheLayer> layers = {SelfLayer{2, 40, 72, 0}, SelfLayer{2, 40, 72, 100}};
  const auto needs = KvCache::needs(layers, KvType::f32, 1000, 50);
  ASSERT_EQ(needs.size(), 2u);
  EXPECT_EQ(needs[1].blocks, 4);
  Runner run;
  run.kv = KvCache(layers, KvType::f32, {needs[0].blocks + 1, needs[1].blocks}, 50);
  Runner whole;
  whole.kv = KvCache({SelfLayer{2, 40, 72, 0}}, KvType::f32, 16);
  const Text text(1000, 3);
  const AttentionOptions options{.window = 100};
  const auto expected = whole.whole(text, 0, options);
  const auto names = names_for(1000, 1);
  const TrackId track = run.kv.open();
  std::vector<float> got;
  for (int64_t at = 0; at < 1000; at += 50) {
    ASSERT_TRUE(run.kv.reserve(track, at + 50)) << at;
    const auto part = run.step_of_layer(1, {{text, track, at, 50}}, options);
    got.insert(got.end(), part.begin(), part.end());
    run.kv.commit(track, at + 50, names);
  }
  EXPECT_TRUE(same(got, expected));
  const TrackId late = run.kv.open();
  EXPECT_EQ(run.kv.adopt(late, names, 500), 0) << "the windowed layer's blocks of those slots are gone";
  EXPECT_EQ(run.kv.adopt(late, names, 999), 960);
  EXPECT_TRUE(same(run.step_of_layer(1, {{text, late, 960, 40}}, options), {expected.end() - 40 * 6 * 72, expected.end()}));
  run.kv.close(track);
  run.kv.close(late);
  EXPECT_EQ(run.kv.free_blocks(), 4);
}

}  // namespace
}  // namespace gale
