#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "base/half.h"
#include "base/json.h"
#include "engine/forward.h"
#include "engine/runtime.h"

// What rounding inputs to int8 costs the bundled model: KL divergence of its next-token distributions from those of exact mode,
// same weights, per layout, and the same with inputs rounded as llama.cpp's ggml-quants.c does.
namespace gale {
namespace {

// Columns beyond the end are zeros.
template <int N>
void pad(const float* x, int64_t columns, float (&copy)[N]) {
  std::fill(copy, copy + N, 0.0f);
  std::copy(x, x + std::clamp<int64_t>(columns, 0, N), copy);
}

// quantize_row_q8_0: the largest magnitude is 127, the scale is kept in f16. `coarser` 2 takes a bit off the codes.
void round_as_q8_0(const float* x, int64_t columns, int coarser, RoundedBlock32& out) {
  float copy[32];
  pad(x, columns, copy);
  float largest = 0;
  for (const float v : copy) largest = std::max(largest, std::fabs(v));
  const float d = largest * float(coarser) / 127, inverse = d > 0 ? 1 / d : 0;
  out.scale = f16_to_f32(f32_to_f16(d));
  out.minus = 0;
  for (int i = 0; i < 32; ++i) out.minus -= out.codes[i] = int8_t(std::round(copy[i] * inverse));
}

// quantize_row_q8_K: the value of the largest magnitude is -127, the scale is kept in f32.
void round_as_q8_k(const float* x, int64_t columns, int coarser, RoundedBlock256& out) {
  float copy[256];
  pad(x, columns, copy);
  const float top = *std::ranges::max_element(copy, {}, [](float v) { return std::fabs(v); });
  const float inverse = top != 0 ? -127 / (top * float(coarser)) : 0;
  out.scale = top != 0 ? 1 / inverse : 0;
  std::fill(out.sums32, out.sums32 + 8, 0);
  std::fill(out.sums16, out.sums16 + 16, 0);
  for (int i = 0; i < 256; ++i) {
    out.codes[i] = int8_t(std::min(127.0f, std::nearbyint(copy[i] * inverse)));
    out.sums32[i / 32] = int16_t(out.sums32[i / 32] + out.codes[i]);
    out.sums16[i / 16] = int16_t(out.sums16[i / 16] + out.codes[i]);
  }
  for (int i = 0; i < 16; ++i) out.minus16[i] = -out.sums16[i];
}

template <int Coarser>
void round_with(const float* x, const RoundedRows& out, int64_t begin, int64_t end) {
  ASSERT_EQ(out.order, nullptr);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t row = i / out.pieces(), first = i % out.pieces() * kRoundedPiece;
    const float* from = x + row * out.columns + first;
    if (out.rounding == Rounding::int8_per_256)
      round_as_q8_k(from, out.columns - first, Coarser, out.row<RoundedBlock256>(row)[first / 256]);
    else
      for (int64_t b = 0; b < kRoundedPiece; b += 32)
        round_as_q8_0(from + b, out.columns - first - b, Coarser, out.row<RoundedBlock32>(row)[(first + b) / 32]);
  }
}

constexpr auto round_as_peer = round_with<1>, round_a_bit_less = round_with<2>;

using Sequences = std::vector<std::vector<int32_t>>;

// Questions and answers that the bundled model was not trained on.
Sequences texts(const Runtime& runtime) {
  Sequences out;
  std::ifstream in(std::filesystem::path(GALE_SOURCE_DIR) / "models/demo/eval_questions.jsonl");
  int n = 0;
  for (std::string line; std::getline(in, line);) {
    if (n++ % 4 != 0) continue;
    const Json q = Json::parse(line);
    ChatInput input;
    input.messages = &q.at("messages");
    out.push_back(runtime.tokenizer->encode(runtime.chat_template->render(input) + q.at("expected").get<std::string>(),
                                            {.add_special = false, .parse_special = true}));
  }
  return out;
}

// Of every position, the log-probabilities of the next token: [positions, vocab].
std::vector<float> log_probabilities(Runtime& runtime, const CpuKernels& cpu, Precision precision, const Sequences& sequences) {
  Ctx ctx{*runtime.arena, *runtime.pool, cpu, precision};
  std::vector<float> out;
  for (const auto& ids : sequences) {
    const TrackId track = runtime.kv->open();
    EXPECT_TRUE(runtime.kv->reserve(track, int32_t(ids.size())));
    Batch batch;
    batch.add_causal(track, ids.data(), int32_t(ids.size()), 0);
    for (int32_t r = 0; r < batch.rows(); ++r) batch.wanted.push_back(r);
    forward(ctx, *runtime.model, batch, *runtime.kv, [&](int64_t, const Tensor& logits) {
      for (int64_t r = 0; r < logits.dim(0); ++r) {
        const float* row = logits.data<float>() + r * logits.dim(1);
        double sum = 0;
        const float top = *std::max_element(row, row + logits.dim(1));
        for (int64_t i = 0; i < logits.dim(1); ++i) sum += std::exp(double(row[i]) - top);
        for (int64_t i = 0; i < logits.dim(1); ++i) out.push_back(float(double(row[i]) - top - std::log(sum)));
      }
    });
    runtime.kv->close(track);
  }
  return out;
}

// KL divergence at each position.
std::vector<double> divergences(const std::vector<float>& exact, const std::vector<float>& other, size_t vocab) {
  std::vector<double> out(exact.size() / vocab, 0.0);
  for (size_t i = 0; i < exact.size(); ++i) out[i / vocab] += std::exp(double(exact[i])) * (double(exact[i]) - other[i]);
  return out;
}

double mean(const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0) / double(v.size()); }

// By how much the mean of `ours` is above 1.1 times that of `theirs`, in standard errors: few positions carry most of a mean, so
// that two ways of rounding that differ in the last bit of a scale can give means 12 % apart.
double excess(const std::vector<double>& ours, const std::vector<double>& theirs) {
  std::vector<double> d(ours.size());
  for (size_t i = 0; i < d.size(); ++i) d[i] = ours[i] - 1.1 * theirs[i];
  const double m = mean(d);
  double squares = 0;
  for (const double v : d) squares += (v - m) * (v - m);
  return m / std::sqrt(squares / double(d.size()) / double(d.size()));
}

class RoundingOfInputs : public ::testing::TestWithParam<const char*> {};
// One type for each way that inputs and codes meet.
INSTANTIATE_TEST_SUITE_P(Demo, RoundingOfInputs,
                         ::testing::Values("q8_0", "q4_0", "q5_0", "q4_1", "iq4_nl", "mxfp4", "q2_k", "q3_k", "q4_k", "q5_k",
                                           "q6_k", "iq4_xs", "tq2_0"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(RoundingOfInputs, CostsNoMoreThanThePeers) {
  EngineOptions options;
  options.model = "demo";
  options.quant = GetParam();
  options.kv_type = "f32";
  Runtime runtime = load_runtime(options);
  const Sequences sequences = texts(runtime);
  const auto exact = log_probabilities(runtime, *runtime.cpu, Precision::exact, sequences);
  const auto kl = [&](void (*round)(const float*, const RoundedRows&, int64_t, int64_t)) {
    CpuKernels cpu = *runtime.cpu;
    cpu.round_pieces = round;
    const auto rounded = log_probabilities(runtime, cpu, Precision::standard, sequences);
    return divergences(exact, rounded, size_t(runtime.model->vocab()));
  };
  const auto ours = kl(runtime.cpu->round_pieces), theirs = kl(round_as_peer);
  std::printf(
      "%-7s %zu positions: mean KL %.2e, with inputs rounded as llama.cpp does %.2e, %+.1f standard errors over 1.1 times that\n",
      GetParam(), ours.size(), mean(ours), mean(theirs), excess(ours, theirs));
  EXPECT_GT(mean(ours), 0) << "nothing was rounded";
  EXPECT_LT(excess(ours, theirs), 3);
  EXPECT_GT(excess(kl(round_a_bit_less), theirs), 3) << "one bit less is not noticed";
}

}  // namespace
}  // namespace gale
