#include "engine/inbox.h"

#include <utility>

namespace gale {

void Inbox::submit(std::unique_ptr<Job> job) {
  const std::lock_guard lock(mutex_);
  mail_.jobs.push_back(std::move(job));
  changed_.notify_one();
}

void Inbox::submit(std::vector<std::unique_ptr<Job>> jobs) {
  const std::lock_guard lock(mutex_);
  for (auto& job : jobs) mail_.jobs.push_back(std::move(job));
  changed_.notify_one();
}

bool Inbox::queue(int64_t tokens, int64_t most) {
  const std::lock_guard lock(mutex_);
  if (waiting_tokens_ > 0 && tokens > most - waiting_tokens_) return false;
  waiting_tokens_ += tokens;
  return true;
}

void Inbox::settle(int64_t tokens) {
  const std::lock_guard lock(mutex_);
  waiting_tokens_ -= tokens;
}

int64_t Inbox::waiting_tokens() const {
  const std::lock_guard lock(mutex_);
  return waiting_tokens_;
}

void Inbox::cancel(uint64_t id) {
  const std::lock_guard lock(mutex_);
  mail_.cancels.push_back(id);
  changed_.notify_one();
}

void Inbox::change(Change change) {
  const std::lock_guard lock(mutex_);
  mail_.changes.push_back(std::move(change));
  changed_.notify_one();
}

void Inbox::call(std::function<void()> work) {
  Change call{.apply = std::move(work), .done = {}};
  std::future<void> done = call.done.get_future();
  {
    const std::lock_guard lock(mutex_);
    mail_.calls.push_back(std::move(call));
    changed_.notify_one();
  }
  done.get();
}

void Inbox::wake() {
  const std::lock_guard lock(mutex_);
  mail_.woken = true;
  changed_.notify_one();
}

void Inbox::stop() {
  const std::lock_guard lock(mutex_);
  mail_.stop = true;
  changed_.notify_one();
}

Inbox::Mail Inbox::take(bool wait, std::chrono::milliseconds at_most) {
  std::unique_lock lock(mutex_);
  if (wait)
    changed_.wait_for(lock, at_most, [&] {
      return mail_.stop || mail_.woken || !mail_.jobs.empty() || !mail_.cancels.empty() || !mail_.changes.empty() ||
             !mail_.calls.empty();
    });
  Mail out = std::exchange(mail_, {});
  mail_.stop = out.stop;
  return out;
}

}  // namespace gale
