#pragma once
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "batch/batch.h"
#include "kvcache/kvcache.h"
#include "scheduler/sequence.h"

namespace gale {

/// Decides which rows run next: decode rows first, then prompts in chunks, under one budget of rows. Plain data, for the engine
/// thread only. Sequences are the caller's; they must outlive their stay here.
///
/// Who comes first: the foreground before the background, then first come, first served. Half of what a step has left for prompts
/// goes to the first, half to those that need the least, so that a short prompt does not wait for a long one, nor the other way.
/// Every eighth sequence admitted while others wait in the background is one of those, and in the foreground from then on.
///
/// When the cache is full, the last running sequence gives its blocks back and waits: later it goes on from what is still there
/// of them, and runs the rest of its tokens again, which gives the same bits. So the first always gets on, and a sequence that
/// does not fit even alone has reached the end of its context.
///
/// Texts of one search (fork()) run side by side and come as one: they are let in when there are places for all. One that has its
/// row rests until the others have theirs. What rests gives its blocks back before somebody who has rows to run is held up, and
/// is then, for the cache, as any that was preempted.
///
/// A text that decodes brings rows of its draft where a step has room and the cache has blocks that nobody needs: nobody gives
/// way to a guess.
///
/// Nothing is computed twice while it is there: a text takes over the blocks that others made of its beginning, also while they
/// are making them: then it waits for their step (see prefix.cpp). What the cache's store has of its beginning it waits for too,
/// while others run.
class Scheduler {
 public:
  struct Limits {
    int64_t step_tokens = 512;          ///< rows of one step, at least 1
    int32_t max_sequences = 16;         ///< running at once, at least 1; no more than a step has rows
    int64_t context = 0;                ///< slots of one sequence
    const BlockNames* names = nullptr;  ///< null: texts do not share blocks
  };

  /// What the next step computes.
  struct Step {
    Batch batch;                    ///< may be empty, when `full` is not, or where `restoring`
    std::vector<Sequence*> owners;  ///< of batch.slices
    std::vector<Sequence*> wanted;  ///< whose row batch.wanted[i] is
    std::vector<Sequence*> full;    ///< cannot go on: the context or the whole cache is full. The caller removes them
    int64_t decodes = 0;            ///< rows of texts that decode, those of their drafts among them
    bool restoring = false;         ///< there is nothing to compute: all wait for what the cache's store reads
  };

  Scheduler(KvCache& kv, Limits limits);

  /// To its place in the queue.
  void add(Sequence& sequence);
  /// Makes `child`, which rests or was never here, another text that goes on from where `parent` is, which rests: same tokens,
  /// same place among those who run. REQUIRES: parent.places that are not all taken.
  void fork(Sequence& child, const Sequence& parent);
  /// A sequence that rested has a next token. What it had in the cache may be gone: then it queues for it.
  void go_on(Sequence& sequence);
  /// Takes a sequence out, wherever it is, and gives its blocks back. Once its rows are planned: only when they will not be
  /// computed.
  void remove(Sequence& sequence);
  bool idle() const { return running_.empty() && waiting_.empty(); }
  /// Chooses rows and reserves their cache slots. The Step is good until the next call. `beside_decodes`: rows of the step where
  /// somebody decodes in it, that is, waits for it.
  Step& plan(int64_t beside_decodes = INT64_MAX);
  /// The rows of the last plan() are in the cache. Comes before a token is appended that had no row in the step, and after those
  /// of its draft that the text goes on with; the rest of the draft is gone then, as is every other.
  void computed();
  /// Who runs, first come first.
  std::span<Sequence* const> active() const { return running_; }

  size_t running() const { return running_.size(); }
  size_t waiting() const { return waiting_.size(); }
  int64_t preemptions() const { return preemptions_; }

 private:
  struct Chosen {
    Sequence* sequence;
    int64_t count;
    int64_t drafts = 0;  // rows behind them, of the draft
  };
  void choose_decodes();
  void choose_drafts(int64_t beside_decodes);
  void choose_prefills();
  void prefill(Sequence& sequence, int64_t budget);
  void admit();
  void make_way();
  bool choose(Sequence& sequence, int64_t count);
  bool has_place(const Sequence& sequence) const;
  bool fits(Sequence& sequence);
  void start(Sequence& sequence);
  bool is_full(const Sequence& sequence) const;
  void give_up(Sequence& sequence);
  Sequence* whom_to_preempt(const Sequence& sequence) const;
  void preempt(Sequence& sequence);
  void build_batch();

  std::span<const BlockName> names_of(Sequence& sequence) const;
  void catch_up(Sequence& sequence);
  void restore(Sequence& sequence);
  void share_begun_block(Sequence& sequence);
  int64_t in_common(const Sequence& a, const Sequence& b, int64_t from) const;
  bool is_being_made(const Sequence& sequence) const;

  KvCache& kv_;
  Limits limits_;
  std::deque<Sequence*> waiting_;  // who comes first stands first, here and among those who run
  std::vector<Sequence*> running_;
  std::vector<Chosen> chosen_;
  std::vector<Sequence*> scratch_;
  std::vector<int32_t> rows_;  // the tokens of one sequence's
  Step step_;
  int64_t budget_ = 0, preemptions_ = 0;
  uint64_t arrivals_ = 0;
  int32_t passed_over_ = 0;  // sequences that were admitted while the background waited
};

}  // namespace gale
