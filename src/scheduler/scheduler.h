#pragma once
#include <cstdint>
#include <deque>
#include <vector>

#include "batch/batch.h"
#include "kvcache/kvcache.h"
#include "scheduler/sequence.h"

namespace gale {

/// Decides which rows run next. First come, first served: decode rows first, then prompts in chunks, under one budget of rows.
/// Plain data, for the engine thread only. Sequences are the caller's; they must outlive their stay here.
///
/// When the cache is full, the youngest running sequence gives its blocks back and waits at the head of the queue: later its
/// tokens are run again from the first, which gives the same bits. So the oldest always gets on, and a sequence that does not fit
/// even alone has reached the end of its context.
class Scheduler {
 public:
  struct Limits {
    int64_t step_tokens = 512;   ///< rows of one step, at least 1
    int32_t max_sequences = 16;  ///< running at once, at least 1; no more than a step has rows
    int64_t context = 0;         ///< slots of one sequence
  };

  /// What the next step computes.
  struct Step {
    Batch batch;                    ///< may be empty, when `full` is not
    std::vector<Sequence*> owners;  ///< of batch.slices
    std::vector<Sequence*> wanted;  ///< whose row batch.wanted[i] is
    std::vector<Sequence*> full;    ///< cannot go on: the context or the whole cache is full. The caller removes them
  };

  Scheduler(KvCache& kv, Limits limits);

  /// To the end of the queue.
  void add(Sequence& sequence);
  /// Takes a sequence out, wherever it is, and gives its blocks back. Once its rows are planned: only when they will not be
  /// computed.
  void remove(Sequence& sequence);
  bool idle() const { return running_.empty() && waiting_.empty(); }
  /// Chooses rows and reserves their cache slots. The Step is good until the next call.
  Step& plan();
  /// The rows of the last plan() are in the cache. Comes before tokens are appended.
  void computed();

  size_t running() const { return running_.size(); }
  size_t waiting() const { return waiting_.size(); }
  int64_t preemptions() const { return preemptions_; }

 private:
  struct Chosen {
    Sequence* sequence;
    int64_t count;
  };
  void choose_decodes();
  void choose_prefills();
  void admit();
  bool choose(Sequence& sequence, int64_t count);
  bool fits(const Sequence& sequence) const;
  void start(Sequence& sequence);
  void preempt(Sequence& sequence);
  void build_batch();

  KvCache& kv_;
  Limits limits_;
  std::deque<Sequence*> waiting_;   // oldest first, all younger than those that run
  std::vector<Sequence*> running_;  // oldest first
  std::vector<Chosen> chosen_;
  std::vector<Sequence*> scratch_;
  Step step_;
  int64_t budget_ = 0, preemptions_ = 0;
  bool short_of_blocks_ = false;  // in this plan
};

}  // namespace gale
