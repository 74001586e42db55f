#include "scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/rng.h"

namespace gale {
namespace {

using ::testing::ElementsAre;

// A scheduler over a cache of one narrow layer, and a model that needs no maths: the token after position p of sequence s is a
// function of s and p, and every row is checked against what the sequence holds there.
class House {
 public:
  House(int64_t blocks, Scheduler::Limits limits)
      : kv({SelfLayer{1, 8, 8, 0}}, KvType::f32, blocks), limits_(limits), scheduler(kv, limits), blocks_(blocks) {}

  Sequence& add(int64_t prompt, int64_t generate) {
    const uint64_t id = next_id_++;
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < prompt; ++i) tokens.push_back(token_at(id, i));
    auto sequence = std::make_unique<Sequence>(id, std::move(tokens), SamplerChain({}, 100000));
    Sequence& out = *sequence;
    live_[id] = {std::move(sequence), generate, {}};
    scheduler.add(out);
    return out;
  }

  static int32_t token_at(uint64_t id, int64_t position) { return int32_t((id * 1009 + uint64_t(position) * 31) % 99991); }

  // One step; returns the ids that had rows, in order.
  std::vector<uint64_t> step() {
    Scheduler::Step& step = scheduler.plan();
    const Batch& b = step.batch;
    EXPECT_LE(b.rows(), limits_.step_tokens);
    EXPECT_LE(scheduler.running(), size_t(limits_.max_sequences));
    std::vector<uint64_t> ids;
    for (const Slice& slice : b.slices) ids.push_back(check_slice(b, slice));
    const auto full = step.full;
    const auto wanted = step.wanted;
    EXPECT_EQ(wanted.size(), b.wanted.size());
    EXPECT_TRUE(std::is_sorted(b.wanted.begin(), b.wanted.end()));
    scheduler.computed();
    for (Sequence* s : wanted) {
      EXPECT_EQ(s->remaining(), 0);
      s->tokens.push_back(token_at(s->id, int64_t(s->tokens.size())));
      if (s->generated() == live_[s->id].generate) end(*s, "done");
    }
    for (Sequence* s : full) end(*s, "full");
    EXPECT_TRUE(b.rows() > 0 || !full.empty() || scheduler.idle()) << "a step without progress";
    return ids;
  }

  void end(Sequence& s, const std::string& how) {
    for (size_t i = 0; i < s.tokens.size(); ++i) EXPECT_EQ(s.tokens[i], token_at(s.id, int64_t(i)));
    scheduler.remove(s);
    ended[s.id] = how;
    order.push_back(s.id);
    live_.erase(s.id);
  }

  int run(int most = 100000) {
    int n = 0;
    for (; !scheduler.idle() && n < most; ++n) step();
    return n;
  }
  void expect_all_blocks_free() const { EXPECT_EQ(kv.free_blocks(), blocks_); }
  Sequence* find(uint64_t id) { return live_.contains(id) ? live_[id].sequence.get() : nullptr; }
  std::vector<uint64_t> live() const {
    std::vector<uint64_t> out;
    for (const auto& [id, entry] : live_) out.push_back(id);
    return out;
  }

  KvCache kv;

 private:
  struct Live {
    std::unique_ptr<Sequence> sequence;
    int64_t generate = 0;
    std::vector<int32_t> written;  // what the cache holds, by slot
  };

  // The slice's rows continue what the cache holds, with the right tokens.
  uint64_t check_slice(const Batch& b, const Slice& slice) {
    for (auto& [id, entry] : live_) {
      if (entry.sequence->track != slice.track) continue;
      const int64_t first = entry.sequence->computed;
      for (int32_t i = 0; i < slice.count; ++i) {
        const size_t row = size_t(slice.row + i);
        EXPECT_EQ(b.slots[row], first + i);
        EXPECT_EQ(b.positions[row], first + i);
        EXPECT_EQ(b.attend_begin[row], 0);
        EXPECT_EQ(b.attend_end[row], first + i + 1);
        EXPECT_EQ(b.tokens[row], token_at(id, first + i));
      }
      return id;
    }
    ADD_FAILURE() << "rows of a track that nobody owns";
    return 0;
  }

  Scheduler::Limits limits_;
  std::map<uint64_t, Live> live_;
  uint64_t next_id_ = 1;

 public:
  Scheduler scheduler;
  std::map<uint64_t, std::string> ended;
  std::vector<uint64_t> order;

 private:
  int64_t blocks_;
};

TEST(Scheduler, OnePromptInChunksThenOneRowAStep) {
  House house(4, {.step_tokens = 7, .max_sequences = 4, .context = 256});
  Sequence& s = house.add(20, 3);
  std::vector<int64_t> computed;
  while (house.find(1)) {
    house.step();
    if (house.find(1)) computed.push_back(s.computed);
  }
  EXPECT_THAT(computed, ElementsAre(7, 14, 20, 21));
  EXPECT_EQ(house.ended[1], "done");
  house.expect_all_blocks_free();
}

TEST(Scheduler, DecodeRowsComeBeforePromptsAndShareTheBudget) {
  House house(40, {.step_tokens = 8, .max_sequences = 4, .context = 512});
  house.add(5, 30);
  house.step();
  Sequence& second = house.add(100, 2);
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(house.step(), ElementsAre(1, 2));
    EXPECT_EQ(second.computed, 7 * (i + 1)) << "7 rows are left beside the decode row";
  }
  house.run();
  house.expect_all_blocks_free();
}

TEST(Scheduler, FirstComeFirstServed) {
  House house(40, {.step_tokens = 16, .max_sequences = 2, .context = 512});
  for (int i = 0; i < 5; ++i) house.add(10, 4);
  EXPECT_THAT(house.step(), ElementsAre(1, 2));
  EXPECT_EQ(house.scheduler.waiting(), 3u);
  house.run();
  EXPECT_TRUE(std::is_sorted(house.order.begin(), house.order.end()));
}

TEST(Scheduler, OnePromptIsOneSlice) {
  House house(40, {.step_tokens = 1, .max_sequences = 2, .context = 512});
  house.add(1, 3);
  house.run();
  EXPECT_EQ(house.ended[1], "done");
}

// Sequences decode in every step once they run, and prompts still get in.
TEST(Scheduler, NobodyIsStarvedByASmallBudget) {
  for (const int64_t step_tokens : {1, 2, 3, 7}) {
    House house(40, {.step_tokens = step_tokens, .max_sequences = 5, .context = 512});
    for (int i = 0; i < 8; ++i) house.add(1 + 9 * i, 30);
    std::map<uint64_t, int> last;
    for (int i = 1; !house.scheduler.idle(); ++i) {
      std::vector<uint64_t> decoding;
      for (const uint64_t id : house.live())
        if (house.find(id)->decoding()) decoding.push_back(id);
      const auto ids = house.step();
      for (const uint64_t id : decoding) EXPECT_NE(std::find(ids.begin(), ids.end(), id), ids.end());
      ASSERT_LT(i, 5000);
    }
    EXPECT_EQ(house.ended.size(), 8u);
    house.expect_all_blocks_free();
  }
}

TEST(Scheduler, LongPromptDoesNotStopDecodes) {
  House house(200, {.step_tokens = 32, .max_sequences = 3, .context = 8192});
  house.add(4, 100);
  house.step();
  house.add(4000, 2);
  for (int i = 0; i < 90; ++i) {
    const auto ids = house.step();
    EXPECT_NE(std::find(ids.begin(), ids.end(), 1u), ids.end()) << "step " << i;
  }
}

// Two blocks each at the start, a pool of five: the younger one must give way, and comes back.
TEST(Scheduler, PreemptsTheYoungestAndResumesIt) {
  House house(5, {.step_tokens = 256, .max_sequences = 4, .context = 320});
  house.add(100, 150);
  house.add(70, 100);
  const int steps = house.run();
  EXPECT_GE(house.scheduler.preemptions(), 1);
  EXPECT_EQ(house.ended[1], "done");
  EXPECT_EQ(house.ended[2], "done");
  EXPECT_THAT(house.order, ElementsAre(1, 2));
  EXPECT_LT(steps, 600);
  house.expect_all_blocks_free();
}

TEST(Scheduler, WaitsWhereABlockIsMissingForTheNewcomer) {
  House house(4, {.step_tokens = 256, .max_sequences = 4, .context = 256});
  house.add(100, 10);
  house.add(100, 10);
  house.step();
  EXPECT_EQ(house.scheduler.running(), 1u) << "2 + 2 blocks leave none to grow into";
  house.run();
  EXPECT_EQ(house.scheduler.preemptions(), 0);
  EXPECT_EQ(house.ended.size(), 2u);
}

TEST(Scheduler, AloneAndTooLongIsFull) {
  House house(2, {.step_tokens = 50, .max_sequences = 4, .context = 1000});
  Sequence& s = house.add(100, 1000);
  while (house.find(1) && s.tokens.size() < 129) house.step();
  ASSERT_TRUE(house.find(1));
  house.step();
  EXPECT_EQ(house.ended[1], "full");
  house.expect_all_blocks_free();
}

TEST(Scheduler, ContextIsALimitOfItsOwn) {
  House house(20, {.step_tokens = 50, .max_sequences = 4, .context = 110});
  Sequence& s = house.add(100, 1000);
  size_t most = 0;
  while (house.find(1)) {
    most = s.tokens.size();
    house.step();
  }
  EXPECT_EQ(most, 111u) << "a row for each slot, and the token the last row gave";
  EXPECT_EQ(house.ended[1], "full");
}

TEST(Scheduler, CancelFreesBlocksWhereverTheSequenceIs) {
  House house(20, {.step_tokens = 16, .max_sequences = 2, .context = 512});
  Sequence& decoding = house.add(10, 100);
  Sequence& prefilling = house.add(200, 100);
  Sequence& waiting = house.add(10, 100);
  for (int i = 0; i < 3; ++i) house.step();
  EXPECT_LT(house.kv.free_blocks(), 20);
  house.end(prefilling, "cancelled");
  house.end(waiting, "cancelled");
  house.end(decoding, "cancelled");
  EXPECT_TRUE(house.scheduler.idle());
  house.expect_all_blocks_free();
}

TEST(Scheduler, AllRowsAreWantedWhereAskedFor) {
  House house(20, {.step_tokens = 6, .max_sequences = 2, .context = 512});
  Sequence& s = house.add(10, 5);
  s.all_rows = true;
  auto& step = house.scheduler.plan();
  EXPECT_THAT(step.batch.wanted, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(step.wanted.size(), 6u);
  house.scheduler.computed();
  EXPECT_THAT(house.scheduler.plan().batch.wanted, ElementsAre(0, 1, 2, 3));
  house.scheduler.computed();
  EXPECT_EQ(s.remaining(), 0);
}

// Arrivals, ends and cancels at random over small pools and odd budgets; House checks every row, and every block comes back.
TEST(Scheduler, RandomStress) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SplitMix64 rng{seed};
    const auto below = [&](uint64_t n) { return int64_t(rng() % n); };
    const int64_t blocks = 2 + below(12), context = blocks * 64;
    House house(blocks, {.step_tokens = 1 + below(90), .max_sequences = int32_t(1 + below(8)), .context = context});
    size_t added = 0;
    for (int i = 0; i < 400; ++i) {
      if (below(10) == 0) house.add(1 + below(uint64_t(context)), 1 + below(150)), ++added;
      if (const auto live = house.live(); !live.empty() && below(40) == 0)
        house.end(*house.find(live[size_t(below(live.size()))]), "cancelled");
      house.step();
    }
    EXPECT_LT(house.run(), 100000) << "seed " << seed;
    EXPECT_EQ(house.ended.size(), added);
    house.expect_all_blocks_free();
  }
}

}  // namespace
}  // namespace gale
