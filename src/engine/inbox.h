#pragma once
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/job.h"

namespace gale {

/// A change to what the engine runs on, made on its thread when no request runs.
struct Change {
  std::function<void()> apply;
  std::promise<void> done;
};

/// The one way into the engine thread. Outlives the engine where a stream does, and then swallows what comes.
class Inbox {
 public:
  struct Mail {
    std::vector<std::unique_ptr<Job>> jobs;
    std::vector<uint64_t> cancels;
    std::vector<Change> changes;
    bool stop = false;
  };

  void submit(std::unique_ptr<Job> job);
  void cancel(uint64_t id);
  void change(Change change);
  void stop();
  /// Everything that has come, in order. Blocks for something where `wait`.
  Mail take(bool wait);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Mail mail_;
};

}  // namespace gale
