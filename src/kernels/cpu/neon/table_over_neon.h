#pragma once
#include "kernels/cpu/kernels.h"

// The table of a set that has its own dots of bytes: attention and matmul on bytes are its own, the rest is neon's.
namespace gale {
namespace neon {
const CpuKernels& kernels();
}
namespace GALE_ISA {

extern const std::span<const LayoutKernels> kKnownKernels, kAffineKernels;
void store_kv(const float*, const float*, const KvPages&, const KvRows&, int64_t, int64_t);
void attention(const AttentionArgs&, int64_t, int64_t);
void merge_attention(const AttentionArgs&, int64_t, int64_t);
int64_t peak_int8(int64_t, float*);

const CpuKernels& kernels() {
  static const std::vector<LayoutKernels> layouts = join_layouts({kKnownKernels, kAffineKernels, neon::kernels().layouts});
  static const CpuKernels table = [] {
    CpuKernels out = neon::kernels();
    out.isa = Isa::GALE_ISA;
    out.layouts = layouts;
    out.store_kv = store_kv;
    out.attention = attention;
    out.merge_attention = merge_attention;
    out.peak_int8 = peak_int8;
    return out;
  }();
  return table;
}

}  // namespace GALE_ISA
}  // namespace gale
