#pragma once
#include <span>
#include <vector>

#include "engine/job.h"
#include "gale/engine.h"
#include "models/model.h"
#include "speculation/drafter.h"

namespace gale {

constexpr int32_t kMostDrafted = 128;

/// Drafts of the texts that decode: whom to ask for how many tokens, by what became of those before and by what rows cost.
/// Belongs to the engine's thread.
class Drafting {
 public:
  /// `drafter` null: nobody is asked.
  Drafting(Drafter* drafter, const ModelInfo& info);

  /// Fills the drafts of those jobs among `active` that decode, for a step of up to `rows` rows. What is no token of the model is
  /// cut away, and where the drafter throws, its jobs have no more drafts.
  void propose(std::span<Sequence* const> active, int64_t rows);
  /// A step of so many rows, all of texts that decode, took so long.
  void took(int64_t rows, double seconds) { cost_.took(double(rows), seconds); }
  void forget(const Job& job);
  /// What the drafter wants to see of the model's rows, null for nothing; empty of rows, for one step.
  Taps* taps();
  /// The step has filled taps().
  void saw(const Batch& batch, std::span<Sequence* const> owners);

 private:
  void choose(std::span<Sequence* const> active, int64_t rows);
  void ask();
  void clean(Job& job, size_t most) const;

  Drafter* drafter_;
  const ModelInfo& info_;
  StepCost cost_;
  double token_seconds_ = 0;  // what the drafter takes for a token
  std::vector<Job*> jobs_;
  std::vector<DepthChoice> depths_;  // of jobs_
  std::vector<DraftTask> tasks_;
  Taps taps_;
  std::vector<SeenRows> seen_;
};

}  // namespace gale
