#include "kernels/roofline.h"

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "tensor/storage.h"

namespace gale {
namespace {

constexpr int64_t kReadBytes = int64_t(192) << 20;  // per thread: beyond any share of a last-level cache

// Best of several short runs of all threads: the ceiling, not the average of a shared machine.
template <class Job>
double best_rate(int runs, Job job) {
  double best = 0;
  for (int i = 0; i < runs; ++i) {
    const double begin = now_seconds();
    const double work = job();
    best = std::max(best, work / (now_seconds() - begin));
  }
  return best;
}

double peak(ThreadPool& pool, int64_t (*kernel)(int64_t, float*)) {
  int64_t rounds = 1000;
  float sink[16];
  for (double seconds = 0; seconds < 2e-3; rounds *= 2) {  // grow until the clock's grain does not matter
    const double begin = now_seconds();
    kernel(rounds, sink);
    seconds = now_seconds() - begin;
  }
  return best_rate(8, [&] {
    std::atomic<int64_t> macs{0};
    pool.run([&](int) {
      float own[16];
      macs += kernel(rounds, own);
    });
    return double(macs.load());
  });
}

}  // namespace

Roofline measure_roofline(const CpuKernels& cpu, ThreadPool& pool) {
  Roofline out;
  out.threads = pool.threads();
  out.isa = cpu.isa;
  const int64_t total = kReadBytes * pool.threads();
  const StorageRef memory = heap_storage(size_t(total));
  pool.run([&](int t) { std::memset(memory->data() + t * kReadBytes, 1, size_t(kReadBytes)); });
  const double bytes_per_second = best_rate(4, [&] {
    pool.run([&](int t) {
      float sink[16];
      cpu.read_memory(memory->data() + t * kReadBytes, kReadBytes, sink);
    });
    return double(total);
  });
  out.read_gb_s = bytes_per_second * 1e-9;
  out.int8_tmac_s = peak(pool, cpu.peak_int8) * 1e-12;
  out.f32_tmac_s = peak(pool, cpu.peak_f32) * 1e-12;
  out.bf16_tmac_s = peak(pool, cpu.peak_bf16) * 1e-12;
  return out;
}

}  // namespace gale
