#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/job.h"
#include "sampling/beam_search.h"
#include "scheduler/scheduler.h"

namespace gale {

/// The texts of one request's beam search: a job for each that runs, the first of which stands for the request. They have a row
/// each in a step, then rest until all have had theirs. Belongs to the engine's thread.
class Beams {
 public:
  /// `first` is the prompt, and owns this. `choices`: texts that are told in the end.
  Beams(Job& first, BeamSearch::Options options, int32_t choices);

  Job& first() { return first_; }
  /// What may come next in one of the texts, from logits f32 [vocab]. On any thread of the pool, each job on one.
  void choose(Job& job, std::span<const float> logits, const SamplingState& state, Candidates& scratch) const;
  bool all_rest() const;
  /// One of the texts cannot go on, so none does.
  void fail(const std::string& error) { error_ = error; }
  const std::string& error() const { return error_; }
  /// Those that rest go on, as the search has it. False: it is over. REQUIRES: all_rest().
  bool go_on(Scheduler& scheduler);
  /// No text is in the scheduler any more.
  void leave(Scheduler& scheduler);
  /// The events of the texts that were found, and an end for each choice made from `end`, whose finish says how the search ended:
  /// Finish::stop where go_on() said so.
  void tell(const EndEvent& end);

 private:
  Job& spare();
  void tell_one(BeamSearch::Found& found, EndEvent end);

  Job& first_;
  BeamSearch search_;
  int32_t choices_;
  std::vector<std::unique_ptr<Job>> others_;
  std::vector<Job*> texts_;  // by beam
  std::vector<Job*> spares_, next_texts_;
  std::vector<BeamSearch::Row> rows_;
  std::string error_;
};

}  // namespace gale
