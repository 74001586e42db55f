#include "sampling/beam_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "base/rng.h"

namespace gale {
namespace {

using Tokens = std::vector<int32_t>;

/// A language of few tokens, whose log probabilities are a function of the text so far.
class Language {
 public:
  Language(uint64_t seed, int32_t vocab) : seed_(seed), vocab_(vocab) {}

  std::vector<TokenLogprob> next(const Tokens& text) const {
    SplitMix64 rng{seed_};
    for (const int32_t token : text) rng = SplitMix64{rng() ^ uint64_t(token + 1) * 0x9E3779B97F4A7C15};
    std::vector<double> weights;
    double total = 0;
    for (int32_t t = 0; t < vocab_; ++t) total += weights.emplace_back(0.05 + double(rng() % 1000) / 1000);
    std::vector<TokenLogprob> out;
    for (int32_t t = 0; t < vocab_; ++t) out.push_back({t, float(std::log(weights[size_t(t)] / total))});
    std::ranges::sort(out, [](const auto& a, const auto& b) { return a.logprob > b.logprob; });
    return out;
  }
  /// Every text that ends by a token or is `longest` long, with the sum of its log probabilities.
  void each(const Tokens& ends, size_t longest, const std::function<void(const Tokens&, double)>& visit, const Tokens& text = {},
            double sum = 0) const {
    for (const TokenLogprob& t : next(text)) {
      Tokens longer = text;
      longer.push_back(t.token);
      const double logprob = sum + double(t.logprob);
      if (longer.size() == longest || std::ranges::find(ends, t.token) != ends.end())
        visit(longer, logprob);
      else
        each(ends, longest, visit, longer, logprob);
    }
  }

 private:
  uint64_t seed_;
  int32_t vocab_;
};

Tokens ids(const BeamSearch::Found& found) {
  Tokens out;
  for (const TokenEvent& token : found.tokens) out.push_back(token.token);
  return out;
}

/// Runs a search to its end, or for so many steps. Returns the steps.
int run(BeamSearch& search, const Language& language, int most = 1000) {
  std::vector<Tokens> texts = {{}};
  for (int steps = 0;; ++steps) {
    if (steps == most || texts.empty()) return steps;
    EXPECT_EQ(search.running(), texts.size());
    std::vector<BeamSearch::Row> rows;
    for (const Tokens& text : texts) {
      BeamSearch::Row& row = rows.emplace_back();
      row.likeliest = language.next(text);
      row.likeliest.resize(std::min(row.likeliest.size(), search.wanted()));
      for (const TokenLogprob& t : row.likeliest) row.logprobs.push_back(t.logprob);
    }
    std::vector<Tokens> longer;
    for (const auto& [parent, token] : search.advance(rows)) {
      longer.push_back(texts.at(size_t(parent)));
      longer.back().push_back(token);
    }
    texts = longer;
  }
}

TEST(BeamSearch, WithABeamForEveryTextFindsTheBestOfAll) {
  for (uint64_t seed = 1; seed <= 20; ++seed)
    for (const double penalty : {0.0, 1.0, 2.0, -0.5})
      for (const Tokens& ends : {Tokens{}, Tokens{1}, Tokens{0, 2}}) {
        const Language language(seed, 3);
        BeamSearch search(
            {.beams = 81, .max_tokens = 4, .length_penalty = penalty, .stop = BeamStop::impossible, .end_tokens = ends});
        run(search, language);
        std::vector<std::pair<double, Tokens>> all;
        language.each(ends, 4, [&](const Tokens& text, double sum) {
          all.emplace_back(-sum / std::pow(double(text.size()), penalty), text);
        });
        std::ranges::sort(all);
        const auto found = search.best(5);
        ASSERT_EQ(found.size(), std::min<size_t>(5, all.size()));
        for (size_t i = 0; i < found.size(); ++i) {
          EXPECT_EQ(ids(found[i]), all[i].second) << seed << " " << penalty << " " << i;
          EXPECT_NEAR(found[i].score, -all[i].first, 1e-6);
          double sum = 0;
          for (const TokenEvent& token : found[i].tokens) sum += double(token.logprob);
          EXPECT_NEAR(sum / std::pow(double(found[i].tokens.size()), penalty), found[i].score, 1e-6);
        }
      }
}

TEST(BeamSearch, OneBeamIsGreedy) {
  const Language language(7, 50);
  BeamSearch search({.beams = 1, .max_tokens = 30, .end_tokens = {}});
  EXPECT_EQ(run(search, language), 30);
  Tokens greedy;
  while (greedy.size() < 30) greedy.push_back(language.next(greedy).front().token);
  ASSERT_EQ(search.best(9).size(), 1u);
  EXPECT_EQ(ids(search.best(1)[0]), greedy);
  EXPECT_FALSE(search.best(1)[0].ended);
}

TEST(BeamSearch, StopsWhenItIsTold) {
  const Language language(3, 20);
  const Tokens ends = {0, 1, 2, 3, 4, 5};
  std::map<BeamStop, int> steps;
  std::map<BeamStop, double> worst;
  for (const BeamStop stop : {BeamStop::full, BeamStop::unlikely, BeamStop::impossible}) {
    BeamSearch search({.beams = 3, .max_tokens = 60, .length_penalty = 1, .stop = stop, .end_tokens = ends});
    steps[stop] = run(search, language);
    ASSERT_EQ(search.best(3).size(), 3u);
    worst[stop] = search.best(3)[2].score;
  }
  EXPECT_LE(steps[BeamStop::full], steps[BeamStop::unlikely]);
  EXPECT_LT(steps[BeamStop::unlikely], steps[BeamStop::impossible]);
  EXPECT_LE(worst[BeamStop::full], worst[BeamStop::unlikely]);
  EXPECT_LE(worst[BeamStop::unlikely], worst[BeamStop::impossible]);
}

TEST(BeamSearch, GivenUpItHasWhatRan) {
  const Language language(5, 20);
  BeamSearch search({.beams = 4, .max_tokens = 60, .end_tokens = {}});
  search.give_up();
  EXPECT_TRUE(search.best(4).empty()) << "not one token was written";
  BeamSearch other({.beams = 4, .max_tokens = 60, .end_tokens = {}});
  run(other, language, 6);
  EXPECT_TRUE(other.best(4).empty());
  other.give_up();
  const auto found = other.best(9);
  ASSERT_EQ(found.size(), 4u);
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].tokens.size(), 6u);
    EXPECT_FALSE(found[i].ended);
    if (i > 0) EXPECT_LE(found[i].score, found[i - 1].score);
  }
}

TEST(BeamSearch, TextsThatCannotGoOnEnd) {
  BeamSearch search({.beams = 4, .max_tokens = 3, .end_tokens = {9}});
  std::vector<BeamSearch::Row> rows(1);
  rows[0].likeliest = {{5, 0}};  // nothing else may be chosen
  EXPECT_EQ(search.advance(rows).size(), 1u);
  rows[0].likeliest = {{9, -0.5f}, {6, -1}};
  EXPECT_EQ(search.advance(rows).size(), 1u);
  rows[0].likeliest = {{9, 0}};
  EXPECT_TRUE(search.advance(rows).empty());
  ASSERT_EQ(search.best(4).size(), 2u);
  EXPECT_EQ(ids(search.best(4)[0]), (Tokens{5, 9}));
  EXPECT_EQ(ids(search.best(4)[1]), (Tokens{5, 6, 9}));
  EXPECT_TRUE(search.best(4)[1].ended);
}

}  // namespace
}  // namespace gale
