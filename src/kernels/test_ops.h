#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kernels/ops.h"

// What tests of operations need. Test code only.
namespace gale::testing {

struct Bench {
  explicit Bench(Isa isa, int threads = 1, Precision precision = Precision::standard)
      : arena(size_t(64) << 20), pool(threads), ctx{arena, pool, cpu_kernels(isa), precision} {}
  Tensor tensor(Shape shape, const std::vector<float>& values) {
    Tensor t = ctx.tensor(shape);
    std::memcpy(t.data<float>(), values.data(), values.size() * sizeof(float));
    return t;
  }
  Arena arena;
  ThreadPool pool;
  Ctx ctx;
};

inline std::vector<float> values_of(const Tensor& t) { return {t.data<float>(), t.data<float>() + t.elements()}; }

/// Bit for bit: == on the patterns, so that -0 and +0, or two NaNs, do not pass for each other.
inline ::testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << a.size() << " values against " << b.size();
  for (size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(&a[i], &b[i], 4) != 0)
      return ::testing::AssertionFailure() << "at " << i << ": " << a[i] << " against " << b[i];
  return ::testing::AssertionSuccess();
}

}  // namespace gale::testing
