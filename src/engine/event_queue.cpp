#include "engine/event_queue.h"

namespace gale {

void EventQueue::push(Event event) {
  {
    const std::lock_guard lock(mutex_);
    if (events_.empty()) events_.reserve(kLag);
    if (events_.size() == events_.capacity() && next_ >= events_.size() / 2) {  // room where others were, before more memory
      events_.erase(events_.begin(), events_.begin() + ptrdiff_t(next_));
      next_ = 0;
    }
    events_.push_back(std::move(event));
  }
  changed_.notify_one();
}

std::optional<Event> EventQueue::next(std::optional<std::chrono::steady_clock::time_point> deadline) {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return going_ == 0 || next_ < events_.size(); };
  if (!deadline)
    changed_.wait(lock, ready);
  else if (!changed_.wait_until(lock, *deadline, ready))
    return std::nullopt;
  if (going_ == 0) return std::nullopt;
  Event event = std::move(events_[next_++]);
  if (next_ == events_.size()) events_.clear(), next_ = 0;
  if (std::holds_alternative<EndEvent>(event)) --going_;
  return event;
}

}  // namespace gale
