#include "engine/event_queue.h"

namespace gale {

void EventQueue::push(Event event) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  changed_.notify_one();
}

std::optional<Event> EventQueue::next(std::optional<std::chrono::steady_clock::time_point> deadline) {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return ended_ || !events_.empty(); };
  if (!deadline)
    changed_.wait(lock, ready);
  else if (!changed_.wait_until(lock, *deadline, ready))
    return std::nullopt;
  if (ended_) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  ended_ = std::holds_alternative<EndEvent>(event);
  return event;
}

}  // namespace gale
