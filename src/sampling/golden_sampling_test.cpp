#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <numeric>

#include "base/json.h"
#include "base/rng.h"
#include "sampling/stages.h"

// Every stage against tests/golden/make_sampling.py: numpy from the published definitions, and transformers where it has the
// stage.
namespace gale {
namespace {

using stages::Stage;

const Json& answers() {
  static const Json json = Json::parse(std::ifstream(GALE_SOURCE_DIR "/tests/golden/data/sampling.json"));
  return json;
}

std::vector<float> row(const Json& numbers) {
  auto out = numbers.get<std::vector<float>>();
  for (float& x : out)
    if (x <= -1e30f) x = -std::numeric_limits<float>::infinity();
  return out;
}

Stage make(const std::string& name, const std::vector<float>& a, int64_t vocab) {
  if (name == "temperature") return stages::temperature(a[0]);
  if (name == "dynamic_temperature") return stages::dynamic_temperature(a[0], a[1], a[2]);
  if (name == "top_k") return stages::top_k(int32_t(a[0]));
  if (name == "top_p") return stages::top_p(a[0]);
  if (name == "min_p") return stages::min_p(a[0]);
  if (name == "typical_p") return stages::typical_p(a[0]);
  if (name == "top_a") return stages::top_a(a[0]);
  if (name == "tail_free") return stages::tail_free(a[0]);
  if (name == "top_n_sigma") return stages::top_n_sigma(a[0]);
  if (name == "epsilon_cutoff") return stages::epsilon_cutoff(a[0]);
  if (name == "eta_cutoff") return stages::eta_cutoff(a[0]);
  if (name == "xtc") return stages::xtc(a[0], a[1]);
  if (name == "repetition_penalty") return stages::repetition_penalty(a[0], int32_t(a[1]), vocab);
  if (name == "count_penalties") return stages::count_penalties(a[0], a[1], int32_t(a[2]), vocab);
  if (name == "no_repeat_ngram") return stages::no_repeat_ngram(int32_t(a[0]));
  ADD_FAILURE() << "no stage " << name;
  return nullptr;
}

struct Text {
  std::vector<int32_t> prompt, generated;
  SamplingState state;

  explicit Text(const Json& c) : prompt(c.at("prompt")), generated(c.value("generated", std::vector<int32_t>())) {
    state.prompt = prompt;
    state.generated = generated;
    state.seed = c.value("seed", uint64_t(0));
    state.position = c.value("position", uint64_t(0));
  }
};

std::vector<int32_t> tokens_of(const Candidates& candidates) {
  std::vector<int32_t> out;
  for (size_t i = 0; i < candidates.size(); ++i) out.push_back(candidates.token(i));
  return out;
}

void expect_near(std::span<const float> got, const std::vector<float>& expected, const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i] == expected[i]) continue;  // infinities
    ASSERT_NEAR(got[i], expected[i], 2e-5 * std::max(1.0, std::fabs(double(expected[i])))) << what << " " << i;
  }
}

TEST(GoldenSampling, EveryStage) {
  std::map<std::string, int> seen;
  for (const Json& c : answers().at("cases")) {
    const std::vector<float> logits = row(answers().at("logits").at(c.at("row").get<size_t>()));
    const Text text(c);
    Candidates candidates;
    candidates.start(logits);
    make(c.at("stage"), c.at("args"), int64_t(logits.size()))->apply(candidates, text.state);
    const std::string what = c.dump();
    ASSERT_EQ(tokens_of(candidates), c.at("tokens").get<std::vector<int32_t>>()) << what;
    std::vector<float> expected;
    for (const int32_t token : tokens_of(candidates)) expected.push_back(logits[size_t(token)]);
    expect_near(candidates.logits(), c.contains("values") ? row(c.at("values")) : expected, what);
    ++seen[c.at("stage")];
  }
  EXPECT_EQ(seen.size(), 15u);
}

// Vocabularies where nothing is sorted whole.
TEST(GoldenSampling, LargeVocabularies) {
  for (const Json& c : answers().at("large")) {
    SplitMix64 rng{c.at("seed").get<uint64_t>()};
    std::vector<float> logits(c.at("size").get<size_t>());
    for (float& x : logits) {
      const float u = rng.uniform();
      x = std::pow(u, c.at("power").get<float>()) * c.at("scale").get<float>();
    }
    Candidates candidates;
    candidates.start(logits);
    make(c.at("stage"), c.at("args"), int64_t(logits.size()))->apply(candidates, {});
    const std::vector<int32_t> tokens = tokens_of(candidates);
    // Powers round differently here and there, and sums do: what lies at the edge may be one more or one less.
    EXPECT_NEAR(double(tokens.size()), c.at("kept").get<double>(), 2) << c.dump();
    if (int64_t(tokens.size()) != c.at("kept").get<int64_t>()) continue;
    EXPECT_EQ(std::accumulate(tokens.begin(), tokens.end(), int64_t(0)), c.at("id_sum").get<int64_t>()) << c.dump();
  }
}

SamplingParams params_of(const Json& c) {
  SamplingParams p;
  p.temperature = 1;
  p.order = c.at("order").get<std::vector<std::string>>();
  for (const auto& [name, json] : c.at("params").items()) {
    const auto a = json.get<std::vector<float>>();
    if (name == "repetition_penalty") p.repetition_penalty = a[0], p.penalty_last_n = int32_t(a[1]);
    if (name == "count_penalties") p.frequency_penalty = a[0], p.presence_penalty = a[1], p.penalty_last_n = int32_t(a[2]);
    if (name == "no_repeat_ngram") p.no_repeat_ngram = int32_t(a[0]);
    if (name == "temperature") p.temperature = a[0];
    if (name == "top_k") p.top_k = int32_t(a[0]);
    if (name == "top_p") p.top_p = a[0];
    if (name == "min_p") p.min_p = a[0];
    if (name == "typical_p") p.typical_p = a[0];
    if (name == "top_a") p.top_a = a[0];
    if (name == "tail_free") p.tail_free = a[0];
    if (name == "top_n_sigma") p.top_n_sigma = a[0];
    if (name == "epsilon_cutoff") p.epsilon_cutoff = a[0];
    if (name == "eta_cutoff") p.eta_cutoff = a[0];
    if (name == "xtc") p.xtc_probability = a[0], p.xtc_threshold = a[1];
  }
  return p;
}

TEST(GoldenSampling, ChainsInAnyOrderDrawTheToken) {
  int moved = 0;
  Candidates scratch;
  for (const Json& c : answers().at("chains")) {
    const std::vector<float> logits = row(answers().at("logits").at(c.at("row").get<size_t>()));
    const Text text(c);
    SamplingParams params = params_of(c);
    EXPECT_EQ(SamplerChain(params, 48).sample(logits, text.state, scratch), c.at("token").get<int32_t>()) << c.dump();
    params.order.clear();
    moved += SamplerChain(params, 48).sample(logits, text.state, scratch) != c.at("token").get<int32_t>();
  }
  EXPECT_GT(moved, 0) << "the control: the order has an effect";
}

TEST(GoldenSampling, MirostatAlsoAfterGoingBack) {
  for (const Json& c : answers().at("mirostat")) {
    const auto expected = c.at("tokens").get<std::vector<int32_t>>();
    const Text text(c);
    SamplingParams params;
    params.temperature = 1;
    params.mirostat = c.at("version");
    params.mirostat_tau = c.at("tau");
    params.mirostat_eta = c.at("eta");
    SamplerChain chain(params, 48);
    Candidates scratch;
    const auto sample = [&](size_t i) {
      SamplingState state = text.state;
      state.generated = std::span(expected).first(i);
      state.position = text.prompt.size() + i;
      return chain.sample(row(answers().at("logits").at(c.at("rows").at(i).get<size_t>())), state, scratch);
    };
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(sample(i), expected[i]) << c.dump() << " token " << i;
    for (const size_t back : {size_t(9), size_t(2), size_t(0)})
      for (size_t i = back; i < expected.size(); ++i) EXPECT_EQ(sample(i), expected[i]) << "gone back to " << back;
  }
}

TEST(GoldenSampling, DryWithBreakersInAnyEncoding) {
  const auto pieces = answers().at("pieces").get<std::vector<std::string>>();
  Json vocab = Json::object();
  for (size_t i = 0; i < pieces.size(); ++i) vocab[pieces[i]] = i;
  const Json model = {{"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}, {"decoder", {{"type", "Fuse"}}}};
  const auto tokenizer = Tokenizer::from_json(model.dump());
  for (const Json& c : answers().at("dry")) {
    const auto a = c.at("args").get<std::vector<float>>();
    const auto texts = c.at("breakers").get<std::vector<std::string>>();
    const Text text(c);
    Candidates candidates;
    candidates.start(row(c.at("logits")));
    const auto vocab_size = int64_t(pieces.size());
    stages::dry({a[0], a[1], int32_t(a[2]), int32_t(a[3])}, DryBreakers(*tokenizer, texts), vocab_size)
        ->apply(candidates, text.state);
    expect_near(candidates.logits(), row(c.at("values")), c.dump());
    EXPECT_TRUE(std::ranges::all_of(candidates.counts, [](int32_t n) { return n == 0; }));
  }
}

}  // namespace
}  // namespace gale
