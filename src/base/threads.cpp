#include "base/threads.h"

#include <pthread.h>
#include <sched.h>

#include <system_error>

#include "base/clock.h"
#include "base/fail.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gale {
namespace {

constexpr double kSpinSeconds = 50e-6;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Spins until `ready()`, at most kSpinSeconds. The clock is read rarely: it costs as much as the wait we hope for.
template <class Ready>
bool spin(Ready ready) {
  const double end = now_seconds() + kSpinSeconds;
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      pause();
    }
    if (now_seconds() > end) return ready();
  }
}

void end_all(std::vector<std::thread>& workers, std::mutex& mutex, std::condition_variable& wake, std::atomic<bool>& stop,
             std::atomic<uint64_t>& epoch) {
  {
    const std::lock_guard lock(mutex);
    stop.store(true);
    epoch.fetch_add(1);
  }
  wake.notify_all();
  for (auto& thread : workers) thread.join();
}

}  // namespace

ThreadPool::ThreadPool(int threads, const std::vector<int>& pin_to) {
  for (int i = 1; i < threads; ++i) {
    const int cpu = pin_to.empty() ? -1 : pin_to[size_t(i) % pin_to.size()];
    try {
      workers_.emplace_back([this, i, cpu] { worker(i, cpu); });
    } catch (const std::system_error& e) {  // a limit on processes; no destructor will run
      end_all(workers_, mutex_, wake_, stop_, epoch_);
      fail(ErrorCode::out_of_memory, "could not start {} threads: {} after {}, ask for fewer with -t", threads,
           e.code().message(), i);
    }
  }
}

ThreadPool::~ThreadPool() { end_all(workers_, mutex_, wake_, stop_, epoch_); }

void ThreadPool::dispatch(Function function, void* context) {
  const StandardFloats mode;
  if (workers_.empty()) return function(context, 0);
  function_ = function;
  context_ = context;
  running_.store(int(workers_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_seq_cst);
  // Sequentially consistent with the worker's raise of parked_: either it sees the new epoch or we see it parked.
  if (parked_.load(std::memory_order_seq_cst) > 0) {
    {
      const std::lock_guard lock(mutex_);
    }
    wake_.notify_all();
  }
  function(context, 0);
  const auto done = [&] { return running_.load(std::memory_order_acquire) == 0; };
  while (!spin(done)) std::this_thread::yield();  // a worker may have lost its core: do not burn ours
}

void ThreadPool::worker(int index, int cpu) {
  FloatMode::standard().apply();  // a new thread inherits its creator's
  if (cpu >= 0) {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    CPU_SET(cpu, &mask);
    pthread_setaffinity_np(pthread_self(), sizeof mask, &mask);
  }
  uint64_t seen = 0;
  for (;;) {
    const auto started = [&] { return epoch_.load(std::memory_order_acquire) != seen; };
    if (!spin(started)) {
      std::unique_lock lock(mutex_);
      parked_.fetch_add(1, std::memory_order_seq_cst);
      wake_.wait(lock, [&] { return epoch_.load(std::memory_order_seq_cst) != seen; });
      parked_.fetch_sub(1, std::memory_order_relaxed);
    }
    ++seen;
    if (stop_.load()) return;
    function_(context_, index);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace gale
