#include "scheduler/scheduler.h"

#include <algorithm>
#include <cassert>

#include "base/checked.h"

namespace gale {
namespace {

int64_t blocks_of(int64_t slots) { return ceil_div(slots, KvCache::kBlockSlots); }

}  // namespace

Scheduler::Scheduler(KvCache& kv, Limits limits) : kv_(kv), limits_(limits) {
  assert(limits_.step_tokens >= 1 && limits_.max_sequences >= 1 && limits_.context >= 1);
  // With more sequences than rows the decoding ones could fill every step and no prompt would ever get in.
  limits_.max_sequences = int32_t(std::min<int64_t>(limits_.max_sequences, limits_.step_tokens));
}

void Scheduler::add(Sequence& sequence) { waiting_.push_back(&sequence); }

void Scheduler::remove(Sequence& sequence) {
  if (sequence.track >= 0) kv_.close(sequence.track);
  sequence.track = -1;
  sequence.computed = 0;
  std::erase(running_, &sequence);
  std::erase(waiting_, &sequence);
  std::erase_if(chosen_, [&](const Chosen& c) { return c.sequence == &sequence; });
}

Scheduler::Step& Scheduler::plan() {
  budget_ = limits_.step_tokens;
  short_of_blocks_ = false;
  chosen_.clear();
  step_.full.clear();
  choose_decodes();
  choose_prefills();
  admit();
  build_batch();
  return step_;
}

// There is a row for each: no more sequences run than a step has rows.
void Scheduler::choose_decodes() {
  scratch_ = running_;
  for (Sequence* s : scratch_)
    if (s->track >= 0 && s->decoding()) choose(*s, 1);
}

void Scheduler::choose_prefills() {
  scratch_ = running_;
  for (Sequence* s : scratch_)
    if (budget_ > 0 && s->track >= 0 && !s->decoding()) choose(*s, std::min(budget_, s->remaining()));
}

// In order: nobody overtakes the head of the queue. Not while those who run lack blocks: they were here first.
void Scheduler::admit() {
  while (!waiting_.empty() && budget_ > 0 && running_.size() < size_t(limits_.max_sequences) && !short_of_blocks_) {
    Sequence& next = *waiting_.front();
    if (!running_.empty() && !fits(next)) return;
    waiting_.pop_front();
    start(next);
    if (!choose(next, std::min(budget_, next.remaining()))) return;
  }
}

// Room for all of its tokens beside what the running prompts still need, and a block for each that may grow by one.
bool Scheduler::fits(const Sequence& sequence) const {
  int64_t spoken_for = 0;
  for (const Sequence* s : running_)
    spoken_for += std::min(blocks_of(int64_t(s->tokens.size())) + 1, blocks_of(limits_.context)) - blocks_of(s->computed);
  for (const Chosen& c : chosen_) spoken_for -= blocks_of(c.sequence->computed + c.count) - blocks_of(c.sequence->computed);
  return kv_.free_blocks() >= spoken_for + blocks_of(int64_t(sequence.tokens.size()));
}

void Scheduler::start(Sequence& sequence) {
  sequence.track = kv_.open();
  sequence.computed = 0;
  running_.push_back(&sequence);
}

// Reserves, at the cost of the youngest where it must be. False: not in this step, or never (then it is in step_.full).
bool Scheduler::choose(Sequence& sequence, int64_t count) {
  const int64_t slots = sequence.computed + count;
  if (slots > limits_.context) {
    step_.full.push_back(&sequence);
    return false;
  }
  while (!kv_.reserve(sequence.track, slots)) {
    short_of_blocks_ = true;
    if (running_.size() == 1) {
      step_.full.push_back(&sequence);
      return false;
    }
    if (running_.back() == &sequence) return false;  // an older one will finish, or take these blocks
    preempt(*running_.back());
  }
  chosen_.push_back({&sequence, count});
  budget_ -= count;
  return true;
}

void Scheduler::preempt(Sequence& sequence) {
  for (const Chosen& c : chosen_)
    if (c.sequence == &sequence) budget_ += c.count;
  std::erase(step_.full, &sequence);
  remove(sequence);
  waiting_.push_front(&sequence);
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
  for (const auto& [s, count] : chosen_) {
    const int32_t first_row = b.rows();
    b.add_causal(s->track, s->tokens.data() + s->computed, int32_t(count), int32_t(s->computed));
    step_.owners.push_back(s);
    const bool last = count == s->remaining();
    for (int32_t row = s->all_rows ? first_row : last ? b.rows() - 1 : b.rows(); row < b.rows(); ++row) {
      b.wanted.push_back(row);
      step_.wanted.push_back(s);
    }
  }
}

void Scheduler::computed() {
  for (const auto& [s, count] : chosen_) {
    s->computed += count;
    kv_.commit(s->track, s->computed);
  }
  chosen_.clear();
}

}  // namespace gale
