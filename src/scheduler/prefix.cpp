#include <algorithm>

#include "scheduler/scheduler.h"

// What texts have in common is computed once: whole blocks are found by name, also long after their text has ended; the rest of a
// block is taken from a text that runs; and a text whose next tokens are in another's rows of this step waits for it.
namespace gale {
namespace {

// Fewer tokens are not worth waiting for, nor the copy of a block.
constexpr int64_t kWorthIt = 16;

bool is_worth_it(int64_t common, const Sequence& s) { return common > 0 && common >= std::min(kWorthIt, s.remaining() - 1); }

// Whether a text may take over what others make: from inside a block of its own it could not.
bool takes_over(const BlockNames* names, const Sequence& s) {
  return names != nullptr && !s.all_rows && s.computed % names->block_slots() == 0;
}

// Tokens up to `computed` came from others.
void go_on_from(Sequence& s, int64_t computed) {
  if (s.preemptions == 0) s.found += computed - s.computed;
  s.computed = computed;
}

}  // namespace

// Of everything but the last token, whose row gives the next one.
std::span<const BlockName> Scheduler::names_of(Sequence& s) const {
  if (limits_.names == nullptr || s.all_rows) return {};
  limits_.names->extend(s.names, s.root, s.tokens);
  return std::span(s.names).first(std::min(s.names.size(), (s.tokens.size() - 1) / size_t(kv_.block_slots())));
}

// Tokens from `from` on that are the same in both, up to the end of the block after it. 0 where anything before them differs.
int64_t Scheduler::in_common(const Sequence& a, const Sequence& b, int64_t from) const {
  const auto slots = size_t(kv_.block_slots()), block = size_t(from) / slots, first = block * slots;
  if (a.root != b.root) return 0;
  if (block > 0 && (a.names.size() < block || b.names.size() < block || a.names[block - 1] != b.names[block - 1])) return 0;
  const size_t end = std::min({a.tokens.size(), b.tokens.size(), first + 2 * slots});
  size_t same = first;
  while (same < end && a.tokens[same] == b.tokens[same]) ++same;
  return std::max<int64_t>(0, int64_t(same) - from);
}

void Scheduler::catch_up(Sequence& s) {
  if (!takes_over(limits_.names, s)) return;
  go_on_from(s, kv_.adopt(s.track, names_of(s), int64_t(s.tokens.size()) - 1));
}

// Asks for what the store has of it and memory has not. Asked again until nothing more is to come, whatever the reason.
void Scheduler::restore(Sequence& s) {
  s.restoring = takes_over(limits_.names, s) && kv_.fetch(s.track, names_of(s), int64_t(s.tokens.size()) - 1);
}

// The next block of somebody who has begun it, and will not fill it with what this text has: from then on it goes its own way.
void Scheduler::share_begun_block(Sequence& s) {
  if (!takes_over(limits_.names, s)) return;
  for (const Sequence* other : running_) {
    if (other == &s || other->track < 0 || other->computed <= s.computed) continue;
    const int64_t common = std::min({in_common(s, *other, s.computed), other->computed - s.computed, s.remaining() - 1});
    if (is_worth_it(common, s) && kv_.share(s.track, other->track, s.computed + common))
      return go_on_from(s, s.computed + common);
  }
}

// Whether the step in hand makes what this text needs next. Then it waits at the end of its last whole block: from inside one it
// could take over nothing.
bool Scheduler::is_being_made(const Sequence& s) const {
  if (!takes_over(limits_.names, s)) return false;
  return std::ranges::any_of(chosen_, [&](const Chosen& c) {
    const Sequence& other = *c.sequence;
    const int64_t there = other.computed - s.computed, made = there + c.count;
    if (&other == &s || made <= 0) return false;
    const int64_t common = std::min(in_common(s, other, s.computed), s.remaining() - 1);
    return std::min(common, made) > std::max<int64_t>(there, 0) && is_worth_it(common, s);
  });
}

}  // namespace gale
