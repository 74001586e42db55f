#include <gtest/gtest.h>

#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <thread>

#include "base/cpu.h"
#include "base/rng.h"
#include "scheduler/pace.h"
#include "scheduler/scheduler.h"

namespace gale {
namespace {

constexpr int64_t kChannels = 8;

// A model whose value at a position is a hash of all tokens up to it, and whose attention weighs all values alike: every row of
// it comes out right only where the cache holds, in every slot the row sees, what this very text would have put there. Sums of
// bytes are exact in f32, so the comparison is too. The next token is a hash of all before it.
class House {
 public:
  House(int64_t blocks, Scheduler::Limits limits, int32_t window = 100, int64_t block_slots = 64)
      : names_(KeyedHash::Key{}, block_slots),
        window_(window),
        kv(layers(window), format(block_slots),
           std::vector<int64_t>(KvCache::needs(layers(window), format(block_slots), 1, 1).size(), blocks), limits.step_tokens),
        limits_(with_names(limits, names_)),
        scheduler(kv, limits_) {}

  /// `beams`: texts that it becomes, of which any may die and any become several at each token.
  Sequence& add(std::vector<int32_t> tokens, int64_t generate, bool background = false, int32_t beams = 1) {
    Sequence& out = make(std::move(tokens), generate);
    out.background = background;
    out.places = beams;
    if (beams > 1) searches[live[out.id].search = out.id] = {out.id};
    scheduler.add(out);
    return out;
  }

  void step(int64_t beside_decodes = INT64_MAX) {
    ++steps;
    if (draft_most > 0) draft();
    Scheduler::Step& step = scheduler.plan(beside_decodes);
    EXPECT_LE(step.batch.rows(), limits_.step_tokens);
    if (step.decodes > 0) EXPECT_LE(step.batch.rows(), std::max(step.decodes + 16, beside_decodes));
    EXPECT_LE(scheduler.running(), size_t(limits_.max_sequences));
    rows += step.batch.rows();
    run_model(step);
    const auto full = step.full;
    if (step.restoring) std::this_thread::sleep_for(std::chrono::microseconds(200));
    EXPECT_TRUE(step.restoring || step.batch.rows() > 0 || !full.empty() || scheduler.idle()) << "a step without progress";
    accept(step);
    auto wanted = step.wanted;
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    scheduler.computed();
    for (Sequence* s : wanted) {
      EXPECT_TRUE(s->draft.empty());
      EXPECT_EQ(s->remaining(), 0);
      Live& entry = live[s->id];
      if (entry.search != 0) {
        s->resting = true;
        continue;
      }
      s->tokens.push_back(next_of(hashes(entry).back()));
      if (s->generated() == entry.generate) end(*s);
    }
    std::vector<uint64_t> over;
    for (Sequence* s : full) over.push_back(s->id);
    for (const uint64_t id : over)
      if (live.contains(id)) end(*live[id].sequence);
    for (auto next = searches.begin(); next != searches.end();) {
      const auto search = next++;
      if (std::ranges::all_of(search->second, [&](uint64_t id) { return live[id].sequence->resting; })) go_on(search->second);
    }
  }
  /// A text, or the search that it belongs to.
  void end(Sequence& s) {
    longest_life = std::max(longest_life, steps - live[s.id].born);
    const uint64_t search = live[s.id].search;
    const std::vector<uint64_t> ids = search == 0 ? std::vector{s.id} : searches[search];
    for (const uint64_t id : ids) drop(id);
    searches.erase(search);
    ++ended;
  }
  // Blocks go to that folder when their memory is wanted, and come back from there.
  void attach(const std::filesystem::path& folder, int64_t bytes) {
    std::vector<int64_t> block_bytes;
    for (size_t p = 0; p < kv.pools(); ++p) block_bytes.push_back(kv.block_bytes(int32_t(p)));
    store = std::make_unique<BlockStore>(std::make_shared<StoreFolder>(folder), Digest256{},
                                         BlockStore::Options{.bytes = bytes, .block_bytes = block_bytes});
    kv.attach(*store);
  }
  int64_t run() {
    const int64_t before = rows;
    while (!scheduler.idle() && !::testing::Test::HasFailure()) step();
    return rows - before;
  }

  struct Live {
    std::unique_ptr<Sequence> sequence;
    int64_t generate = 0;
    std::vector<uint64_t> hash;  // by position
    int64_t born = 0;
    uint64_t search = 0;
  };

 private:
  Sequence& make(std::vector<int32_t> tokens, int64_t generate) {
    const uint64_t id = ++last_id_;
    auto sequence = std::make_unique<Sequence>(id, std::move(tokens), SamplerChain({}, 100000));
    Sequence& out = *sequence;
    live[id] = {std::move(sequence), generate, {}, steps};
    return out;
  }
  void drop(uint64_t id) {
    scheduler.remove(*live[id].sequence);
    live.erase(id);
  }

  // Texts that all rest: each next one is a random one of them and a token. Texts that nobody goes on with become others'.
  void go_on(std::vector<uint64_t>& texts) {
    Sequence& any = *live[texts.front()].sequence;
    if (any.generated() == live[any.id].generate) return end(any);
    std::vector<uint64_t> next, dead = texts;
    std::vector<std::pair<uint64_t, uint64_t>> forks;
    for (int32_t beam = 0; beam < any.places; ++beam) {
      const uint64_t parent = texts[rng_() % texts.size()];
      if (std::erase(dead, parent) > 0) {
        next.push_back(parent);
      } else if (rng_() % 4 != 0) {
        forks.emplace_back(0, parent);
      }
    }
    for (auto& [child, parent] : forks) {
      Live& from = live[parent];
      child = dead.empty() ? make({}, from.generate).id : dead.back();
      if (!dead.empty()) dead.pop_back();
      Live& to = live[child];
      to.search = from.search;
      to.hash = hashes(from);
      to.sequence->prompt = from.sequence->prompt;
      scheduler.fork(*to.sequence, *from.sequence);
      next.push_back(child);
    }
    for (const uint64_t id : next) {
      Sequence& s = *live[id].sequence;
      s.tokens.push_back(int32_t(rng_() % 3));
      scheduler.go_on(s);
    }
    for (const uint64_t id : dead) drop(id);
    texts = next;
  }
  static int32_t next_of(uint64_t hash) { return int32_t(hash % 3); }
  static uint64_t hash_of(uint64_t before, int32_t token) { return SplitMix64{before * 31 + uint64_t(token)}(); }

  // What is right up to a point, and then is not.
  void draft() {
    for (Sequence* s : scheduler.active()) {
      if (!s->decoding() || s->places > 1) continue;
      Live& entry = live[s->id];
      const int64_t left = entry.generate - s->generated() - 1;
      uint64_t hash = hashes(entry).back();
      for (int64_t n = std::min(left, int64_t(rng_() % uint64_t(draft_most + 1))); n > 0; --n) {
        const bool wrong = rng_() % 10 == 0;
        s->draft.push_back(wrong ? 7 : next_of(hash));
        hash = hash_of(hash, s->draft.back());
      }
    }
  }

  // The text goes on with its draft as far as that is right.
  void accept(const Scheduler::Step& step) {
    for (size_t i = 0; i + 1 < step.wanted.size(); ++i) {
      Sequence& s = *step.wanted[i];
      if (step.wanted[i + 1] != &s) continue;
      ++drafted;
      if (step.batch.slots[size_t(step.batch.wanted[i])] + 1 != int64_t(s.tokens.size())) continue;
      const int32_t token = next_of(hashes(live[s.id]).back());
      if (step.batch.tokens[size_t(step.batch.wanted[i + 1])] == token) s.tokens.push_back(token), ++accepted;
    }
  }

  static std::vector<CacheLayer> layers(int32_t window) {
    return {SelfLayer{1, 8, kChannels, 0}, SelfLayer{1, 8, kChannels, window}, StateLayer{8, 8}};
  }
  static KvFormat format(int64_t block_slots) { return {KvType::f32, KvType::f32, block_slots}; }

  static Scheduler::Limits with_names(Scheduler::Limits limits, const BlockNames& names) {
    limits.names = &names;
    return limits;
  }

  const std::vector<uint64_t>& hashes(Live& entry) {
    const auto& tokens = entry.sequence->tokens;
    while (entry.hash.size() < tokens.size()) {
      entry.hash.push_back(hash_of(entry.hash.empty() ? 1 : entry.hash.back(), tokens[entry.hash.size()]));
    }
    return entry.hash;
  }

  static int value(uint64_t hash, int64_t channel) { return int(hash >> (8 * channel) & 255); }

  void run_model(const Scheduler::Step& step) {
    const Batch& b = step.batch;
    if (b.rows() == 0) return;
    arena_.begin_step();
    const Tensor q = ctx_.tensor({b.rows(), 1, 8}), k = ctx_.tensor({b.rows(), 1, 8}), v = ctx_.tensor({b.rows(), 1, kChannels});
    std::fill_n(q.data<float>(), q.elements(), 0.0f);
    std::fill_n(k.data<float>(), k.elements(), 1.0f);
    for (size_t i = 0; i < b.slices.size(); ++i) {
      Live& entry = live[step.owners[i]->id];
      for (int32_t r = 0; r < b.slices[i].count; ++r) {
        const size_t row = size_t(b.slices[i].row + r);
        EXPECT_EQ(b.slots[row], entry.sequence->computed + r);
        const Sequence& s = *entry.sequence;
        const size_t slot = size_t(b.slots[row]), known = s.tokens.size();
        EXPECT_EQ(b.tokens[row], slot < known ? s.tokens[slot] : s.draft[slot - known]);
        if (slot >= std::max(known, hashes(entry).size())) entry.hash.push_back(hash_of(entry.hash.back(), b.tokens[row]));
        const uint64_t hash = entry.hash[slot];
        for (int64_t c = 0; c < kChannels; ++c) v.data<float>()[int64_t(row) * kChannels + c] = float(value(hash, c));
      }
    }
    for (const int32_t layer : {0, 1}) {
      const Tensor y = kv.attend(ctx_, layer, b, q, k, v, {.scale = 1, .window = layer == 0 ? 0 : window_});
      for (size_t i = 0; i < b.slices.size(); ++i) check(live[step.owners[i]->id], b, b.slices[i], y, layer == 0 ? 0 : window_);
    }
    for (size_t i = 0; i < b.slices.size(); ++i) run_state(live[step.owners[i]->id], b, b.slices[i]);
    for (const Sequence* s : step.owners) live[s->id].hash.resize(s->tokens.size());
  }

  // The hash again, by a state that every token advances.
  void run_state(const Live& entry, const Batch& b, const Slice& slice) {
    const int64_t block = kv.block_slots();
    for (int32_t r = 0; r < slice.count; ++r) {
      const int64_t slot = b.slots[size_t(slice.row + r)], first = slot / kStateChunk * kStateChunk;
      const StateView view = kv.state(2, slice.track, slot);
      const auto row = [&](int64_t at) { return view.rows[(at - first) / block] + at % block * 8; };
      const int64_t token = b.tokens[size_t(slice.row + r)];
      std::memcpy(row(slot), &token, 8);
      uint64_t state = 1;
      if (view.before != nullptr) std::memcpy(&state, view.before, 8);
      for (int64_t at = first; at <= slot; ++at) {
        int64_t kept = 0;
        std::memcpy(&kept, row(at), 8);
        state = hash_of(state, int32_t(kept));
      }
      ASSERT_EQ(state, entry.hash[size_t(slot)]) << "slot " << slot;
      ASSERT_EQ(view.after != nullptr, slot % kStateChunk == kStateChunk - 1);
      if (view.after != nullptr) std::memcpy(view.after, &state, 8);
    }
  }

  void check(Live& entry, const Batch& b, const Slice& slice, const Tensor& y, int64_t window) {
    int64_t sums[kChannels] = {};
    const auto add = [&](int64_t slot, int sign) {
      for (int64_t c = 0; c < kChannels; ++c) sums[c] += sign * value(entry.hash[size_t(slot)], c);
    };
    int64_t begin = 0, end = 0;
    for (int32_t r = 0; r < slice.count; ++r) {
      const int64_t slot = b.slots[size_t(slice.row + r)], first = window > 0 ? std::max<int64_t>(0, slot + 1 - window) : 0;
      for (; end <= slot; ++end) add(end, 1);
      for (; begin < first; ++begin) add(begin, -1);
      for (int64_t c = 0; c < kChannels; ++c)
        ASSERT_EQ(y.data<float>()[(slice.row + r) * kChannels + c], float(sums[c]) / float(end - begin)) << "slot " << slot;
    }
  }

  BlockNames names_;
  int32_t window_;
  Arena arena_{size_t(8) << 20};
  ThreadPool pool_{1};
  Ctx ctx_{arena_, pool_, cpu_kernels(detect_cpu().isas.back())};

 public:
  std::unique_ptr<BlockStore> store;
  KvCache kv;

 private:
  Scheduler::Limits limits_;

 public:
  Scheduler scheduler;
  std::map<uint64_t, Live> live;
  int64_t steps = 0, rows = 0, ended = 0, longest_life = 0;
  std::map<uint64_t, std::vector<uint64_t>> searches;  // by their first text: those that run
  int64_t draft_most = 0, drafted = 0, accepted = 0;

 private:
  SplitMix64 rng_{7};
  uint64_t last_id_ = 0;
};

std::vector<int32_t> text(int64_t length, uint64_t seed) {
  SplitMix64 rng{seed};
  std::vector<int32_t> out;
  for (int64_t i = 0; i < length; ++i) out.push_back(int32_t(rng() % 1000));
  return out;
}

TEST(Sharing, ASecondPromptRunsOnlyWhatIsNew) {
  House house(40, {.step_tokens = 64, .max_sequences = 4, .context = 1000});
  const auto prompt = text(300, 1);
  house.add(prompt, 1);
  EXPECT_EQ(house.run(), 300);
  Sequence& again = house.add(prompt, 2);
  house.step();
  EXPECT_EQ(again.found, 256);
  house.run();
  EXPECT_EQ(house.rows, 300 + 44 + 1);
  auto longer = prompt;
  longer.insert(longer.begin() + 200, 5);
  house.add(longer, 1);
  EXPECT_EQ(house.run(), 301 - 192);
  EXPECT_EQ(house.kv.free_blocks(), 40);
}

// Choices of one prompt, or many requests at once after a common instruction: each token is run for the first of them only.
TEST(Sharing, TextsThatComeTogetherRunTheirCommonBeginningOnce) {
  for (const int64_t step_tokens : {20, 64, 100, 128, 150, 512})
    for (const int64_t length : {40, 64, 100, 500}) {
      House house(60, {.step_tokens = step_tokens, .max_sequences = 8, .context = 1000});
      for (int i = 0; i < 6; ++i) house.add(text(length, 1), 2);
      EXPECT_EQ(house.run(), length + 5 + 6) << length << " in steps of " << step_tokens
                                             << ": the others run the last token of the prompt, and all one of their own";
      EXPECT_EQ(house.kv.free_blocks(), 60);
    }
}

// It has its last token, gives way in the same step, and comes back beside another prompt: the end of its context is told once.
TEST(Sharing, AFullContextIsToldOnce) {
  House house(8, {.step_tokens = 256, .max_sequences = 2, .context = 100});
  Sequence& s = house.add(text(60, 1), 1000, true);
  const uint64_t id = s.id;
  while (s.tokens.size() < 101) house.step();
  house.add(text(10, 2), 3);
  house.add(text(10, 3), 3);
  while (house.live.contains(id)) {
    const auto& full = house.scheduler.plan().full;
    ASSERT_LE(std::ranges::count(full, &s), 1);
    house.step();
  }
  house.run();
}

TEST(Sharing, OtherRootsShareNothing) {
  House house(40, {.step_tokens = 64, .max_sequences = 4, .context = 1000});
  house.add(text(200, 1), 1);
  house.run();
  house.add(text(200, 1), 1).root = {{1, 2, 3, 4}};
  EXPECT_EQ(house.run(), 200);
  Sequence& s = house.add(text(200, 1), 1);
  s.all_rows = true;
  house.scheduler.plan();
  EXPECT_EQ(s.computed, 0) << "every row of it is wanted";
  house.end(s);
}

TEST(Sharing, WhoGaveItsBlocksBackGoesOnFromWhatIsLeft) {
  House house(8, {.step_tokens = 256, .max_sequences = 4, .context = 400});
  house.add(text(200, 1), 100);
  house.add(text(150, 2), 120);
  house.run();
  EXPECT_GE(house.scheduler.preemptions(), 1);
  EXPECT_LT(house.rows, 200 + 100 + 150 + 120 + 150) << "not all of the second is run again";
}

TEST(Classes, TheBackgroundGivesWay) {
  House house(60, {.step_tokens = 32, .max_sequences = 2, .context = 1000});
  Sequence& a = house.add(text(100, 1), 50, true);
  Sequence& b = house.add(text(100, 2), 50, true);
  house.step();
  EXPECT_GE(a.track, 0);
  Sequence& urgent = house.add(text(10, 3), 5);
  house.step();
  EXPECT_GE(urgent.track, 0);
  EXPECT_GE(a.track, 0);
  EXPECT_LT(b.track, 0) << "the last of the background";
  house.run();
  EXPECT_EQ(house.ended, 3);
}

TEST(Classes, TheBackgroundIsNotForgotten) {
  House house(60, {.step_tokens = 32, .max_sequences = 1, .context = 1000});
  for (int i = 0; i < 4; ++i) house.add(text(10, uint64_t(i)), 2);
  Sequence& back = house.add(text(10, 99), 2, true);
  const uint64_t id = back.id;
  int64_t ended = 0;
  for (uint64_t i = 100; house.live.contains(id); ++i, ended = house.ended) {
    while (house.scheduler.waiting() < 3) house.add(text(10, ++i), 2);
    house.step();
    ASSERT_LT(house.steps, 200);
  }
  EXPECT_LE(ended, 16);
}

// A prompt of 20 rows does not wait for one of 5000, and that one gets half of every step.
TEST(Classes, ShortPromptsPassLongOnes) {
  House house(120, {.step_tokens = 64, .max_sequences = 4, .context = 6000});
  Sequence& big = house.add(text(5000, 1), 1);
  house.step();
  const uint64_t quick = house.add(text(20, 2), 1).id;
  house.step();
  EXPECT_FALSE(house.live.contains(quick));
  for (int i = 0; i < 20; ++i) {
    const int64_t before = big.computed;
    house.add(text(300, uint64_t(10 + i)), 1);
    house.step();
    EXPECT_GE(big.computed - before, 32);
  }
  house.run();
}

TEST(Pace, SettlesWhereAStepTakesAsLongAsItMay) {
  Pace pace(0.1, 512);
  EXPECT_EQ(pace.rows(), 512);
  for (int i = 0; i < 30; ++i) pace.took(pace.rows(), 0.02 + 0.001 * double(pace.rows()));
  EXPECT_NEAR(double(pace.rows()), 80, 2);
  for (int i = 0; i < 30; ++i) pace.took(pace.rows(), 0.02 + 0.0001 * double(pace.rows()));
  EXPECT_EQ(pace.rows(), 512);
  for (int i = 0; i < 30; ++i) pace.took(pace.rows(), 10);
  EXPECT_EQ(pace.rows(), Pace::kLeast) << "prompts get on, however slow the machine";
  for (int i = 0; i < 30; ++i) pace.took(pace.rows(), 1e-6);
  EXPECT_EQ(pace.rows(), 512);
}

TEST(Drafts, AnswersComeInFewerStepsAndRowsAreRight) {
  House plain(20, {.step_tokens = 64, .max_sequences = 4, .context = 1000});
  plain.add(text(100, 1), 200);
  plain.run();
  for (const int64_t most : {1, 8, 200}) {
    House house(20, {.step_tokens = 64, .max_sequences = 4, .context = 1000});
    house.draft_most = most;
    house.add(text(100, 1), 200);
    house.run();
    EXPECT_LT(house.steps, plain.steps) << most;
    EXPECT_GT(house.accepted, 0);
    EXPECT_LT(house.accepted, house.drafted);
    EXPECT_EQ(house.kv.free_blocks(), 20);
  }
}

TEST(Drafts, TakeNoRowAndNoBlockThatOthersNeed) {
  House house(3, {.step_tokens = 64, .max_sequences = 4, .context = 192});
  house.draft_most = 60;
  Sequence& a = house.add(text(60, 1), 120);
  while (a.generated() == 0) house.step();
  Sequence& b = house.add(text(60, 2), 4);
  house.step();
  EXPECT_GE(b.track, 0);
  house.run();
  EXPECT_EQ(house.ended, 2);
  House tight(20, {.step_tokens = 3, .max_sequences = 3, .context = 192});
  tight.draft_most = 9;
  for (int i = 0; i < 3; ++i) tight.add(text(5, uint64_t(i)), 30);
  tight.run();
  EXPECT_EQ(tight.ended, 3);
  EXPECT_EQ(tight.kv.free_blocks(), 20);
}

// Texts whose drafts would fill every step, and a prompt: it is read as fast as without them.
TEST(Drafts, LeavePromptsTheirRows) {
  for (const int64_t beside : {int64_t(40), INT64_MAX}) {
    int64_t steps[2];
    for (const bool drafts : {false, true}) {
      House house(60, {.step_tokens = 64, .max_sequences = 8, .context = 1000});
      std::vector<Sequence*> writers;
      for (uint64_t i = 0; i < 4; ++i) writers.push_back(&house.add(text(20, i), 400));
      while (writers.back()->generated() == 0) house.step();
      Sequence& prompt = house.add(text(200, 9), 4);
      int64_t& count = steps[drafts] = 0;
      while (prompt.generated() == 0 && count < 100) {
        if (drafts)
          for (Sequence* s : writers) s->draft.assign(128, 7);
        house.step(beside);
        ++count;
      }
    }
    EXPECT_LT(steps[0], 20);
    EXPECT_EQ(steps[1], steps[0]);
  }
}

// All of it is wrong: what it lay in is free after the step, and not taken from a prompt that needs it.
TEST(Drafts, GiveTheirBlocksBack) {
  House house(5, {.step_tokens = 150, .max_sequences = 4, .context = 320});
  Sequence& a = house.add(text(70, 1), 40);
  while (a.generated() == 0) house.step();
  a.draft.assign(140, 7);
  house.step();
  EXPECT_EQ(house.drafted, 140);
  EXPECT_EQ(house.accepted, 0);
  EXPECT_EQ(house.kv.free_blocks(), 3);
  const uint64_t last = house.add(text(120, 2), 4).id;
  for (int64_t i = 0; house.live.contains(last); ++i) {
    ASSERT_LT(i, 30);
    a.draft.assign(140, 7);
    house.step();
  }
  EXPECT_GT(house.drafted, 2 * 140);
  EXPECT_EQ(house.scheduler.preemptions(), 0);
}

struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "gale-sharing-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

TEST(Store, ATextGoesOnWhereAnotherProcessLeft) {
  const Folder folder;
  {
    House house(10, {.step_tokens = 64, .max_sequences = 4, .context = 640});
    house.attach(folder.path, 1 << 20);
    house.add(text(300, 1), 4);
    EXPECT_EQ(house.run(), 303);
    house.kv.store_kept();
  }
  House house(10, {.step_tokens = 64, .max_sequences = 4, .context = 640});
  house.attach(folder.path, 1 << 20);
  Sequence& same = house.add(text(300, 1), 4);
  Sequence& other = house.add(text(300, 2), 4);
  for (const auto& [sequence, found] : {std::pair(&same, 256), {&other, 0}}) {  // it is gone once it has its 4 tokens
    while (sequence->generated() == 0) house.step();
    EXPECT_EQ(sequence->found, found);
  }
  house.run();
  EXPECT_EQ(house.rows, 300 - 256 + 3 + 303);
}

// Memory holds one text, the store both: each is read back instead of run again.
TEST(Store, HoldsWhatMemoryDoesNot) {
  const Folder folder;
  House house(6, {.step_tokens = 64, .max_sequences = 4, .context = 384});
  house.attach(folder.path, 1 << 20);
  for (int round = 0; round < 4; ++round)
    for (const uint64_t seed : {1, 2}) {
      Sequence& s = house.add(text(320, seed), 2);
      while (s.generated() == 0) house.step();
      EXPECT_EQ(s.found, round == 0 ? 0 : 256) << "all but what its last row is in";
      house.run();
      while (house.store->counts().queued > 0) std::this_thread::yield();
    }
}

// One in ten is a search.
int32_t beams(const Scheduler::Limits& limits, SplitMix64& rng) {
  if (rng() % 10 != 0) return 1;
  return int32_t(1 + rng() % uint64_t(std::min<int64_t>(limits.max_sequences, limits.step_tokens)));
}

// Ten thousand requests of all kinds over pools that are too small for them: everyone ends, every row sees the right slots, and
// every block comes back.
void soak(const std::filesystem::path& folder, int64_t requests) {
  int64_t total = 0, rows = 0, tokens = 0, accepted = 0, restored = 0;
  for (uint64_t seed = 0; total < requests; ++seed) {
    SplitMix64 rng{seed};
    const auto below = [&](uint64_t n) { return int64_t(rng() % n); };
    const int64_t slots = 64 >> below(3), blocks = (4 + below(10)) * 64 / slots, context = blocks * slots;
    Scheduler::Limits limits{.step_tokens = 1 + below(200), .max_sequences = int32_t(1 + below(12)), .context = context};
    const int32_t windows[] = {1, 30, 64, 65, 100, 300};
    House house(blocks, limits, windows[below(6)], slots);
    if (!folder.empty()) house.attach(folder, (1 + below(60)) * 8192);
    house.draft_most = below(3) * below(90);
    std::vector<std::vector<int32_t>> known = {text(context, folder.empty() ? seed : seed % 4)};
    int64_t added = 0;
    for (int i = 0; i < 400; ++i) {
      if (below(3) == 0 && house.live.size() < 40) {
        std::vector<int32_t> prompt = known[size_t(below(known.size()))];
        prompt.resize(size_t(1 + below(prompt.size())));
        for (int64_t n = below(60); n > 0 && int64_t(prompt.size()) < context; --n) prompt.push_back(int32_t(below(3)));
        if (known.size() < 30) known.push_back(prompt);
        for (int64_t n = 1 + (below(5) == 0 ? below(4) : 0); n > 0; --n, ++added)
          tokens += int64_t(house.add(prompt, 1 + below(80), below(4) == 0, beams(limits, rng)).tokens.size());
      }
      if (!house.live.empty() && below(30) == 0) {
        auto victim = house.live.begin();
        std::advance(victim, below(house.live.size()));
        house.end(*victim->second.sequence);
      }
      house.step(below(4) == 0 ? 1 + below(50) : INT64_MAX);
      ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
    }
    house.run();
    ASSERT_EQ(house.ended, added) << "seed " << seed;
    ASSERT_EQ(house.kv.free_blocks(), blocks);
    ASSERT_EQ(house.kv.held_bytes(), 0);
    if (below(2) == 0) house.kv.store_kept();
    if (house.store) restored += house.store->counts().restored;
    total += added;
    rows += house.rows - (house.drafted - house.accepted);
    accepted += house.accepted;
  }
  EXPECT_GT(accepted, requests / 10);
  EXPECT_LT(rows, tokens) << "texts have much in common";
  if (!folder.empty()) EXPECT_GT(restored, requests / 10);
}

// A prompt is run once, however many texts come of it, and each of these costs a row a token.
TEST(Searches, CostTheirTextsRows) {
  House house(40, {.step_tokens = 64, .max_sequences = 8, .context = 1024});
  house.add(text(500, 1), 20, false, 6);
  EXPECT_LE(house.run(), 500 + 19 * 6);
  EXPECT_GT(house.rows, 500 + 19 * 2);
  EXPECT_EQ(house.scheduler.preemptions(), 0);
  EXPECT_EQ(house.kv.held_bytes(), 0);
}

// Two of four texts each, and places for six: were they let in text by text, both might wait for ever.
TEST(Searches, ComeAsOne) {
  House house(40, {.step_tokens = 64, .max_sequences = 6, .context = 1024});
  house.add(text(100, 1), 20, false, 4);
  house.add(text(100, 2), 20, false, 4);
  house.step();
  house.step();
  EXPECT_EQ(house.scheduler.waiting(), 1u);
  house.add(text(10, 3), 5, false);
  house.run();
  EXPECT_EQ(house.ended, 3);
}

// Texts of one search that cannot be in memory together: each runs while the others rest without their blocks.
TEST(Searches, GetOnWhereThereIsRoomForOneTextOnly) {
  for (const int64_t blocks : {4, 5, 6}) {
    House house(blocks, {.step_tokens = 300, .max_sequences = 8, .context = 256});
    house.add(text(10, 1), 200, false, 5);
    house.add(text(20, 2), 200, false, 3);
    house.run();
    EXPECT_EQ(house.ended, 2);
    EXPECT_GT(house.scheduler.preemptions(), 20);
    EXPECT_EQ(house.kv.free_blocks(), blocks);
  }
}

TEST(Sharing, Soak) { soak({}, 10000); }

// The same over a store that is too small as well, started again every hundred requests or so.
TEST(Store, Soak) {
  const Folder folder;
  soak(folder.path, 3000);
}

}  // namespace
}  // namespace gale
