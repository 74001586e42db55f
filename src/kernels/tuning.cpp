#include "kernels/tuning.h"

#include <algorithm>
#include <limits>

#include "base/clock.h"
#include "base/threads.h"
#include "kernels/cpu/kernels.h"
#include "kernels/matmul_args.h"
#include "tensor/storage.h"

namespace gale {
namespace {

constexpr int64_t kLeastBytes = int64_t(16) << 20, kMostBytes = int64_t(48) << 20;
constexpr int64_t kDistances[] = {0, 8192};
constexpr int kRounds = 2;

}  // namespace

Tuning tune(const CpuKernels& cpu, ThreadPool& pool, const PackedMatrix& sample) {
  Tuning out;
  const Rounding rounding = layout_rounding(sample.layout);
  if (sample.bytes() < kLeastBytes || rounding == Rounding::none) return out;
  const int64_t panels = std::min(sample.panels(), kMostBytes / sample.geometry.panel_bytes());
  const StorageRef input = heap_storage(size_t(rounded_bytes(rounding, 1, sample.columns)));
  const StorageRef output = heap_storage(size_t(sample.panels() * kPanelRows) * sizeof(float));
  MatmulArgs args = matmul_args(sample, 1);
  args.rounded = rounded_view(input->data(), rounding, 1, sample.columns);
  args.y = reinterpret_cast<float*>(output->data());
  const MatmulKernel run = cpu.find(sample.layout).rounded;
  double best = std::numeric_limits<double>::max();
  for (int round = 0; round < kRounds; ++round)
    for (const int64_t distance : kDistances) {
      args.ahead_one = distance;
      const double begin = now_seconds();
      pool.for_each(panels, matmul_grain(sample), [&](int64_t b, int64_t e) { run(args, b, e); });
      const double seconds = now_seconds() - begin;
      if (seconds < best) best = seconds, out.ahead_one = distance;
    }
  return out;
}

}  // namespace gale
