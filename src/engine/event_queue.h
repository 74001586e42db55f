#pragma once
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

#include "gale/request.h"

namespace gale {

/// The events of one request on their way from the engine thread to its consumer. Ends with the EndEvent of its last choice.
class EventQueue {
 public:
  explicit EventQueue(int32_t choices = 1) : going_(choices) {}
  void push(Event event);
  /// Blocks, until `deadline` where one is given. nullopt: the deadline passed, or the last EndEvent was taken before.
  std::optional<Event> next(std::optional<std::chrono::steady_clock::time_point> deadline = {});

 private:
  static constexpr size_t kLag = 64;  // events a consumer may be behind before they take more memory

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Event> events_;  // those before `next_` were taken
  size_t next_ = 0;
  int32_t going_;  // choices whose end was not taken yet
};

}  // namespace gale
