#include "kernels/cpu/kernels.h"

// AVX-512 with the bf16 dot: attention on bf16 pages is its own, the rest is avx512's.
namespace gale {
namespace avx512 {
const CpuKernels& kernels();
}
namespace avx512_bf16 {

void store_kv(const float*, const float*, const KvPages&, const KvRows&, int64_t, int64_t);
void attention(const AttentionArgs&, int64_t, int64_t);
void merge_attention(const AttentionArgs&, int64_t, int64_t);

const CpuKernels& kernels() {
  static const CpuKernels table = [] {
    CpuKernels out = avx512::kernels();
    out.isa = Isa::avx512_bf16;
    out.store_kv = store_kv;
    out.attention = attention;
    out.merge_attention = merge_attention;
    return out;
  }();
  return table;
}

}  // namespace avx512_bf16
}  // namespace gale
