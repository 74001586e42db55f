#include "engine/inbox.h"

#include <utility>

namespace gale {

void Inbox::submit(std::unique_ptr<Job> job) {
  const std::lock_guard lock(mutex_);
  mail_.jobs.push_back(std::move(job));
  changed_.notify_one();
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

void Inbox::stop() {
  const std::lock_guard lock(mutex_);
  mail_.stop = true;
  changed_.notify_one();
}

Inbox::Mail Inbox::take(bool wait) {
  std::unique_lock lock(mutex_);
  if (wait)
    changed_.wait(lock, [&] { return mail_.stop || !mail_.jobs.empty() || !mail_.cancels.empty() || !mail_.changes.empty(); });
  Mail out = std::exchange(mail_, {});
  mail_.stop = out.stop;
  return out;
}

}  // namespace gale
