#include "kernels/roofline.h"

#include <gtest/gtest.h>

namespace gale {
namespace {

// No limit on speed, only that the ceilings are measured and ordered as they must be.
TEST(Roofline, CeilingsArePlausible) {
  for (Isa isa : detect_cpu().isas) {
    ThreadPool pool(2);
    const Roofline r = measure_roofline(cpu_kernels(isa), pool);
    EXPECT_EQ(r.threads, 2);
    EXPECT_EQ(r.isa, isa);
    EXPECT_GT(r.read_gb_s, 0.01);
    EXPECT_GT(r.f32_tmac_s, 1e-5);
    EXPECT_GT(r.int8_tmac_s, 1e-5);
    EXPECT_GT(r.bf16_tmac_s, 1e-5);
  }
}

}  // namespace
}  // namespace gale
