#include "scheduler/scheduler.h"

#include <algorithm>
#include <cassert>
#include <tuple>

#include "base/checked.h"
#include "scheduler/pace.h"

namespace gale {
namespace {

constexpr int32_t kMostPassedOver = 7;

bool comes_first(const Sequence* a, const Sequence* b) {
  return std::pair(a->background, a->arrival) < std::pair(b->background, b->arrival);
}

}  // namespace

Scheduler::Scheduler(KvCache& kv, Limits limits) : kv_(kv), limits_(limits) {
  assert(limits_.step_tokens >= 1 && limits_.max_sequences >= 1 && limits_.context >= 1);
  // With more sequences than rows the decoding ones could fill every step and no prompt would ever get in.
  limits_.max_sequences = int32_t(std::min<int64_t>(limits_.max_sequences, limits_.step_tokens));
}

void Scheduler::add(Sequence& sequence) {
  sequence.arrival = arrivals_++;
  waiting_.insert(std::ranges::upper_bound(waiting_, &sequence, comes_first), &sequence);
}

void Scheduler::fork(Sequence& child, const Sequence& parent) {
  if (child.track >= 0) kv_.close(child.track);
  std::erase(running_, &child);
  child.tokens = parent.tokens;
  child.names = parent.names;
  child.root = parent.root;
  child.background = parent.background;
  child.arrival = parent.arrival;
  child.places = parent.places;
  child.resting = true;
  child.track = -1;
  child.computed = 0;
  if (parent.track < 0) return;
  child.track = kv_.open();
  child.computed = parent.computed;
  kv_.share(child.track, parent.track, parent.computed);  // all that a row behind it sees is there: it would be the parent's next
  running_.insert(std::ranges::upper_bound(running_, &child, comes_first), &child);
}

void Scheduler::go_on(Sequence& sequence) {
  sequence.resting = false;
  if (sequence.track < 0) waiting_.insert(std::ranges::upper_bound(waiting_, &sequence, comes_first), &sequence);
}

void Scheduler::remove(Sequence& sequence) {
  if (sequence.track >= 0) kv_.close(sequence.track);
  sequence.track = -1;
  sequence.computed = 0;
  sequence.restoring = false;
  sequence.draft.clear();
  std::erase(running_, &sequence);
  std::erase(waiting_, &sequence);
  std::erase_if(chosen_, [&](const Chosen& c) { return c.sequence == &sequence; });
}

Scheduler::Step& Scheduler::plan(int64_t beside_decodes) {
  budget_ = limits_.step_tokens;
  chosen_.clear();
  step_.full.clear();
  kv_.receive();
  admit();
  choose_decodes();
  step_.decodes = int64_t(chosen_.size());
  if (step_.decodes > 0) budget_ = std::min(budget_, std::max<int64_t>(beside_decodes - step_.decodes, Pace::kLeast));
  choose_prefills();
  choose_drafts(beside_decodes);
  step_.restoring = chosen_.empty() && step_.full.empty() && std::ranges::any_of(running_, &Sequence::restoring);
  build_batch();
  return step_;
}

// There is a row for each: no more sequences run than a step has rows.
void Scheduler::choose_decodes() {
  scratch_ = running_;
  for (Sequence* s : scratch_)
    if (s->track >= 0 && s->decoding()) choose(*s, 1);
}

// As much of each draft as there is room for when all others have theirs: in the step, in the context, and among the blocks that
// nobody holds.
void Scheduler::choose_drafts(int64_t beside_decodes) {
  int64_t room = std::min(limits_.step_tokens, beside_decodes);
  for (const Chosen& c : chosen_) room -= c.count;
  for (Chosen& c : chosen_) {
    Sequence& s = *c.sequence;
    const int64_t slots = s.computed + c.count;
    int64_t count = std::min({int64_t(s.draft.size()), room, limits_.context - slots});
    if (count > 0 && !kv_.reserve(s.track, slots + count))
      count = std::min(count, round_up(slots, kv_.block_slots()) - slots);  // what its own blocks hold
    if (count <= 0) continue;
    c.drafts = count;
    room -= count;
    step_.decodes += count;
  }
}

// Half for the first, the rest for those that have the least left, the background after all others.
void Scheduler::choose_prefills() {
  scratch_.clear();
  for (Sequence* s : running_)
    if (!s->decoding() && !s->resting) scratch_.push_back(s);
  if (scratch_.empty()) return;
  for (Sequence* s : scratch_) {
    catch_up(*s);
    if (s->restoring) restore(*s);
  }
  std::erase_if(scratch_, [](const Sequence* s) { return s->restoring; });
  if (scratch_.empty()) return;
  Sequence* first = scratch_.front();
  if (scratch_.size() > 1) prefill(*first, (budget_ + 1) / 2);
  std::ranges::sort(scratch_, {}, [](const Sequence* s) { return std::tuple(s->background, s->remaining(), s->arrival); });
  for (Sequence* s : scratch_)
    if (s->track >= 0 && (s != first || scratch_.size() == 1)) prefill(*s, budget_);
  if (budget_ > 0 && scratch_.size() > 1) prefill(*first, budget_);
}

void Scheduler::prefill(Sequence& sequence, int64_t budget) {
  if (budget <= 0 || sequence.track < 0 || is_full(sequence)) return;
  const auto begun = std::ranges::find(chosen_, &sequence, &Chosen::sequence);
  if (begun != chosen_.end()) {
    const int64_t slots = limits_.context - sequence.computed - begun->count;
    const int64_t more = std::min({budget, sequence.remaining() - begun->count, slots});
    if (more > 0 && kv_.reserve(sequence.track, sequence.computed + begun->count + more)) begun->count += more, budget_ -= more;
  } else if (!is_being_made(sequence)) {
    share_begun_block(sequence);
    choose(sequence, std::min(budget, sequence.remaining()));
  }
}

// In order: nobody overtakes the head of the queue. Not into blocks that those who run will need: they were here first.
void Scheduler::admit() {
  while (!waiting_.empty()) {
    make_way();
    Sequence& next = *waiting_.front();
    const bool all_rest = std::ranges::all_of(running_, &Sequence::resting);  // for those that wait
    while (all_rest && !has_place(next)) preempt(*running_.back());
    if (!has_place(next) || (!all_rest && !fits(next))) return;
    waiting_.pop_front();
    start(next);
  }
}

// The background gives up its place to the foreground, where that is what it takes; but its first is passed over only so often.
void Scheduler::make_way() {
  const auto back = std::ranges::find_if(waiting_, [](const Sequence* s) { return s->background; });
  if (back != waiting_.end() && back != waiting_.begin() && passed_over_ >= kMostPassedOver) {
    Sequence* next = *back;
    next->background = false;
    waiting_.erase(back);
    waiting_.insert(std::ranges::upper_bound(waiting_, next, comes_first), next);
    passed_over_ = 0;
  }
  const Sequence& next = *waiting_.front();
  while (!next.background && !running_.empty() && running_.back()->background && running_.back()->track >= 0 &&
         (!has_place(*waiting_.front()) || !fits(*waiting_.front())))
    preempt(*running_.back());
}

// Of one search all count from when the first of them is here: they have come at the same time, and stand side by side.
bool Scheduler::has_place(const Sequence& sequence) const {
  int64_t places = sequence.places;
  for (size_t i = 0; i < running_.size(); ++i) {
    if (running_[i]->arrival == sequence.arrival) return true;
    if (i == 0 || running_[i - 1]->arrival != running_[i]->arrival) places += running_[i]->places;
  }
  return places <= limits_.max_sequences;
}

// Room for all of its tokens beside what the running prompts still need, and a block for each that may grow by one.
bool Scheduler::fits(Sequence& sequence) {
  KvRoom room(kv_);
  for (const Sequence* s : running_)
    room.grow(s->track, std::min(int64_t(s->tokens.size()) + kv_.block_slots(), limits_.context));
  return room.join(names_of(sequence), int64_t(sequence.tokens.size()));
}

void Scheduler::start(Sequence& sequence) {
  sequence.track = kv_.open();
  sequence.computed = 0;
  running_.insert(std::ranges::upper_bound(running_, &sequence, comes_first), &sequence);
  if (!sequence.background && !waiting_.empty() && waiting_.back()->background) ++passed_over_;
  catch_up(sequence);
  restore(sequence);
}

// Reserves, at the cost of the last where it must be. False: not in this step, or never (then it is in step_.full).
bool Scheduler::choose(Sequence& sequence, int64_t count) {
  const int64_t slots = sequence.computed + count;
  if (slots > limits_.context) {
    give_up(sequence);
    return false;
  }
  while (!kv_.reserve(sequence.track, slots)) {
    if (running_.size() == 1) {
      give_up(sequence);
      return false;
    }
    Sequence* const other = whom_to_preempt(sequence);
    if (other == nullptr) return false;
    preempt(*other);
  }
  chosen_.push_back({&sequence, count});
  budget_ -= count;
  return true;
}

bool Scheduler::is_full(const Sequence& sequence) const { return std::ranges::find(step_.full, &sequence) != step_.full.end(); }

void Scheduler::give_up(Sequence& sequence) {
  if (!is_full(sequence)) step_.full.push_back(&sequence);
}

// The last. Where that is the sequence itself, one before it will get on, unless all of them rest.
Sequence* Scheduler::whom_to_preempt(const Sequence& sequence) const {
  if (running_.back() != &sequence) return running_.back();
  const auto others = std::span(running_).first(running_.size() - 1);
  return std::ranges::all_of(others, &Sequence::resting) ? others.back() : nullptr;
}

void Scheduler::preempt(Sequence& sequence) {
  for (const Chosen& c : chosen_)
    if (c.sequence == &sequence) budget_ += c.count;
  std::erase(step_.full, &sequence);
  remove(sequence);
  if (!sequence.resting) waiting_.insert(std::ranges::upper_bound(waiting_, &sequence, comes_first), &sequence);
  ++sequence.preemptions;
  ++preemptions_;
}

void Scheduler::build_batch() {
  Batch& b = step_.batch;
  for (auto* list : {&b.tokens, &b.positions, &b.slots, &b.attend_begin, &b.attend_end, &b.wanted}) list->clear();
  b.slices.clear();
  b.patches.clear();
  step_.owners.clear();
  step_.wanted.clear();
  for (const auto& [s, count, drafts] : chosen_) {
    const int32_t first_row = b.rows();
    rows_.assign(s->tokens.begin() + s->computed, s->tokens.begin() + s->computed + count);
    rows_.insert(rows_.end(), s->draft.begin(), s->draft.begin() + drafts);
    b.add_causal(s->track, rows_.data(), int32_t(count + drafts), int32_t(s->computed));
    step_.owners.push_back(s);
    const bool last = count == s->remaining();
    for (int32_t row = s->all_rows ? first_row : last ? b.rows() - 1 - int32_t(drafts) : b.rows(); row < b.rows(); ++row) {
      b.wanted.push_back(row);
      step_.wanted.push_back(s);
    }
  }
}

void Scheduler::computed() {
  for (const auto& [s, count, drafts] : chosen_) {
    s->computed += std::min(count + drafts, s->remaining());
    if (limits_.names) limits_.names->extend(s->names, s->root, s->tokens);
    kv_.commit(s->track, s->computed, s->names);
    if (drafts > 0) kv_.truncate(s->track, s->computed);  // blocks that only wrong rows are in
  }
  for (Sequence* s : running_) s->draft.clear();
  chosen_.clear();
}

}  // namespace gale
