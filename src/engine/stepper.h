#pragma once
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/beams.h"
#include "engine/drafting.h"
#include "engine/inbox.h"
#include "engine/runtime.h"
#include "scheduler/pace.h"
#include "scheduler/scheduler.h"

namespace gale {

/// What the engine's thread does: takes mail, plans a step, runs the model, chooses tokens, sends events. Nobody else's code runs
/// here, and what goes wrong with one request ends that request only.
class Stepper {
 public:
  Stepper(Runtime& runtime, Inbox& inbox);
  /// Until the inbox says stop; then every request ends as cancelled.
  void run();
  /// From any thread.
  EngineStats stats() const;

 private:
  static constexpr double kNever = std::numeric_limits<double>::infinity();

  /// A token chosen for batch.wanted[i].
  struct Pick {
    int32_t token = 0;
    Logprobs logprobs;
    std::string error;
  };

  /// Of a piece of logits, those [begin, end) that one thread works off in order.
  struct Rows {
    int64_t begin, end;
  };

  void take_mail(Inbox::Mail mail);
  void accept(std::unique_ptr<Job> job);
  void renew_ctx();
  void apply_changes();
  void close();
  void cancel(uint64_t request);
  void end_late();
  void step();
  void publish();
  bool compute(Scheduler::Step& step);
  void use_logits(const Scheduler::Step& step, int64_t first, const Tensor& logits);
  std::string note_prompt(Job& job, size_t slot, std::span<const float> logits, Candidates& scratch);
  void use_row(const Scheduler::Step& step, size_t wanted, std::span<const float> logits, Candidates& scratch);
  Pick choose(Job& job, std::span<const float> logits, Candidates& scratch);
  void deliver(const Scheduler::Step& step, size_t begin, size_t end);
  void begin_answer(Job& job);
  void note_draft(Job& job, int64_t drafted, int64_t accepted);
  bool apply(Job& job, const Pick& pick, bool drafted);
  void begin(Job& job, double now);
  void settle(Job& job);
  void note_ids(std::span<Sequence* const> sequences);
  void note_search(Beams& search);
  void search_on();
  bool make_room(Job& job);
  void finish(Job& job, Finish how, const std::string& error = {});
  static EndEvent end_of(const Job& job, Finish how, const std::string& error);
  void finish_all(Finish how, const std::string& error);

  Runtime& runtime_;
  Inbox& inbox_;
  std::optional<Ctx> ctx_;  // of what the runtime is now
  Scheduler scheduler_;
  Pace pace_;
  Drafting drafting_;
  std::unordered_map<uint64_t, std::unique_ptr<Job>> jobs_;
  std::vector<Pick> picks_;
  std::vector<Rows> units_;                 // of the logits in hand
  std::vector<Candidates> scratch_;         // of each thread of the pool
  std::vector<Beams*> searches_;            // that have rows of the step in hand
  std::vector<uint64_t> ids_;               // of requests in hand
  std::vector<Change> changes_;             // that wait for the running requests to end
  std::vector<std::unique_ptr<Job>> held_;  // requests that came after them
  double soonest_ = kNever;                 // no deadline is earlier
  bool restoring_ = false;                  // all that run wait for the disk
  EngineStats now_;
  mutable std::mutex mutex_;  // of the next one
  EngineStats published_;
};

}  // namespace gale
