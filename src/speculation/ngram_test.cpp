#include "speculation/ngram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace gale {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int32_t> drafted(Drafter& drafter, const std::vector<int32_t>& tokens, int32_t most, uint64_t id = 1) {
  std::vector<int32_t> out;
  const DraftTask task{.id = id, .tokens = tokens, .most = most, .draft = &out};
  drafter.propose({&task, 1});
  return out;
}

std::vector<int32_t> ask(const std::vector<int32_t>& tokens, int32_t most) {
  NgramDrafter drafter;
  return drafted(drafter, tokens, most);
}

TEST(Ngram, GoesOnAsTheTextDidBefore) {
  EXPECT_THAT(ask({1, 2, 3, 4, 5, 6, 9, 1, 2, 3}, 3), ElementsAre(4, 5, 6));
  EXPECT_THAT(ask({1, 2, 3, 4, 5, 6, 9, 1, 2, 3}, 1), ElementsAre(4));
  EXPECT_THAT(ask({1, 2, 3, 4, 5, 1, 2}, 3), IsEmpty()) << "two tokens agree by chance";
  EXPECT_THAT(ask({1, 2, 3}, 3), IsEmpty());
  EXPECT_THAT(ask({}, 3), IsEmpty());
}

TEST(Ngram, TakesTheLongestAndOfEqualsTheLatest) {
  EXPECT_THAT(ask({7, 1, 2, 3, 10, 8, 1, 2, 3, 11, 9, 9, 1, 2, 3, 12, 8, 1, 2, 3}, 1), ElementsAre(11));
  EXPECT_THAT(ask({1, 2, 3, 10, 1, 2, 3, 11, 1, 2, 3}, 1), ElementsAre(11));
}

TEST(Ngram, GoesInCircles) {
  EXPECT_THAT(ask({5, 5, 5, 5}, 4), ElementsAre(5, 5, 5, 5));
  EXPECT_THAT(ask({1, 2, 3, 1, 2, 3, 1}, 7), ElementsAre(2, 3, 1, 2, 3, 1, 2)) << "what it begins with repeats itself";
}

TEST(Ngram, TextsAreKeptApart) {
  NgramDrafter drafter;
  drafted(drafter, {1, 2, 3, 4, 5}, 3, 1);
  EXPECT_THAT(drafted(drafter, {1, 2, 3}, 3, 2), IsEmpty());
  EXPECT_THAT(drafted(drafter, {1, 2, 3, 4, 5, 1, 2, 3}, 2, 1), ElementsAre(4, 5));
  drafter.forget(1);
  drafter.forget(77);
  EXPECT_THAT(drafted(drafter, {9, 9}, 2, 1), IsEmpty()) << "another text of the same number";
}

// The definition: of the latest places where the last three tokens stood, the one that agrees with most of the end.
size_t by_hand(const std::vector<int32_t>& t) {
  size_t best = 0, longest = NgramIndex::kLeast - 1, tried = 0;
  for (size_t place = t.size() - 1; place >= NgramIndex::kLeast && tried < NgramIndex::kTried; --place) {
    size_t n = 0;
    while (n < std::min(place, NgramIndex::kEnough) && t[place - 1 - n] == t[t.size() - 1 - n]) ++n;
    if (n >= NgramIndex::kLeast) ++tried;
    if (n > longest) best = place, longest = n;
  }
  return best;
}

TEST(Ngram, GrowsWithTheTextAndFindsWhatASearchFinds) {
  for (const uint64_t vocab : {2, 5, 40}) {
    SplitMix64 rng{vocab};
    std::vector<int32_t> text;
    NgramIndex index;
    size_t found = 0;
    for (int i = 0; i < 3000; ++i) {
      for (uint64_t n = rng() % 4; n > 0; --n) {  // at times a piece of what was
        const size_t at = text.empty() ? 0 : size_t(rng() % text.size());
        for (size_t k = at; k < std::min(at + rng() % 9, text.size()); ++k) text.push_back(text[k]);
        text.push_back(int32_t(rng() % vocab));
      }
      index.extend(text);
      const size_t place = index.find(text);
      if (text.size() > NgramIndex::kLeast && i % 20 == 0) ASSERT_EQ(place, by_hand(text)) << i;
      found += place > 0;
    }
    EXPECT_GT(found, 300u);
  }
}

}  // namespace
}  // namespace gale
