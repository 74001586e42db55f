#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "gale/request.h"

namespace gale {

/// The events of one request on their way from the engine thread to its consumer. Ends with an EndEvent.
class EventQueue {
 public:
  void push(Event event);
  /// Blocks, until `deadline` where one is given. nullopt: the deadline passed, or the EndEvent was taken before.
  std::optional<Event> next(std::optional<std::chrono::steady_clock::time_point> deadline = {});

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> events_;
  bool ended_ = false;  // the EndEvent was taken
};

}  // namespace gale
