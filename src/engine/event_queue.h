#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

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
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> events_;
  int32_t going_;  // choices whose end was not taken yet
};

}  // namespace gale
