#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/float_mode.h"

namespace gale {

/// A fixed set of compute threads, the caller being one of them. Between calls they spin for some tens of microseconds, then
/// park. One thread at a time may call run() and for_each(); jobs must not throw and must not call the pool again. Every thread
/// runs jobs in the standard float mode, the caller too (its own comes back after), so that results depend neither on which
/// thread computes them nor on what the host has set.
class ThreadPool {
 public:
  /// `threads` >= 1 counts the caller. `pin_to`: CPUs for the threads, or empty to let the system place them.
  explicit ThreadPool(int threads, const std::vector<int>& pin_to = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return int(workers_.size()) + 1; }

  /// Calls job(thread index) once on each thread, returns when all have ended.
  template <class Job>
  void run(Job&& job) {
    using J = std::remove_reference_t<Job>;
    dispatch([](void* context, int thread) { (*static_cast<J*>(context))(thread); },
             const_cast<void*>(static_cast<const void*>(&job)));
  }

  /// Calls job(begin, end) over [0, n), in pieces handed out as threads become free: a fair part of half of what is left, so that
  /// pieces are long while that does no harm and short when the end nears; never fewer than `grain` but for the last. A job that
  /// takes a third argument gets the thread's index, below threads(): that of its scratch memory.
  template <class Job>
  void for_each(int64_t n, int64_t grain, Job&& job) {
    const auto call = [&job](int64_t begin, int64_t end, int thread) {
      if constexpr (std::is_invocable_v<Job&, int64_t, int64_t, int>)
        job(begin, end, thread);
      else
        job(begin, end);
    };
    if (n <= grain || workers_.empty()) {
      const StandardFloats mode;
      if (n > 0) call(int64_t(0), n, 0);
      return;
    }
    next_.store(0, std::memory_order_relaxed);
    run([&](int thread) {
      for (int64_t begin = next_.load(std::memory_order_relaxed); begin < n;) {
        const int64_t fair = (n - begin) / (2 * threads()), size = fair > grain ? fair : grain;
        const int64_t end = begin + size < n ? begin + size : n;
        if (!next_.compare_exchange_weak(begin, end, std::memory_order_relaxed)) continue;
        call(begin, end, thread);
        begin = next_.load(std::memory_order_relaxed);
      }
    });
  }

 private:
  using Function = void (*)(void*, int);
  void dispatch(Function function, void* context);
  void worker(int index, int cpu);

  std::vector<std::thread> workers_;
  Function function_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<uint64_t> epoch_{0};  // raised to start a job
  alignas(64) std::atomic<int> running_{0};     // workers still in the job
  alignas(64) std::atomic<int64_t> next_{0};    // for_each's counter
  alignas(64) std::atomic<int> parked_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace gale
