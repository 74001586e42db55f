#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/job.h"

namespace gale {

/// Work for the engine's thread: a change to what it runs on, made when no request runs, or a call between two steps.
struct Change {
  std::function<void()> apply;
  std::promise<void> done;
};

/// The one way into the engine thread. Outlives the engine where a stream does, and then swallows what comes.
class Inbox {
 public:
  static constexpr std::chrono::milliseconds kForever = std::chrono::hours(1);  ///< and then once more

  struct Mail {
    std::vector<std::unique_ptr<Job>> jobs;
    std::vector<uint64_t> cancels;
    std::vector<Change> changes, calls;
    bool woken = false;
    bool stop = false;
  };

  void submit(std::unique_ptr<Job> job);
  /// Together: the engine's thread sees all of them or none yet.
  void submit(std::vector<std::unique_ptr<Job>> jobs);
  /// Counts tokens that will wait. False, and nothing is counted, where more than `most` would wait then and some do already.
  bool queue(int64_t tokens, int64_t most);
  /// A job of so many tokens does not wait any more.
  void settle(int64_t tokens);
  int64_t waiting_tokens() const;
  void cancel(uint64_t id);
  void change(Change change);
  /// Runs `work` on the engine's thread, between two of its steps, and returns when that is done. Throws what it throws.
  void call(std::function<void()> work);
  /// Something that the engine waits for outside of the mail has come.
  void wake();
  void stop();
  /// Everything that has come, in order. Blocks for something where `wait`, at most for that long.
  Mail take(bool wait, std::chrono::milliseconds at_most = kForever);

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Mail mail_;
  int64_t waiting_tokens_ = 0;
};

}  // namespace gale
