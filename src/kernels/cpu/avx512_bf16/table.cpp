#include <vector>

#include "kernels/cpu/kernels.h"

// AVX-512 with the bf16 dot: attention on bf16 pages and matmul with weights of bf16 or 8-bit floats are its own, the rest is
// avx512's.
namespace gale {
namespace avx512 {
const CpuKernels& kernels();
}
namespace avx512_bf16 {

void store_kv(const float*, const float*, const KvPages&, const KvRows&, int64_t, int64_t);
void attention(const AttentionArgs&, int64_t, int64_t);
void merge_attention(const AttentionArgs&, int64_t, int64_t);
int64_t peak_bf16(int64_t, float*);
void round_pieces(const float*, const RoundedRows&, int64_t, int64_t);
extern const MatmulKernel matmul_pairs, matmul_e4m3, matmul_e5m2;

const CpuKernels& kernels() {
  static const std::vector<LayoutKernels> layouts = [] {
    const auto base = avx512::kernels().layouts;
    std::vector<LayoutKernels> out(base.begin(), base.end());
    for (LayoutKernels& entry : out) {
      if (entry.layout == dense_layout(DType::bf16)) entry.rounded = matmul_pairs;
      if (entry.layout.table == CodeTable::e4m3) entry.rounded = matmul_e4m3;
      if (entry.layout.table == CodeTable::e5m2) entry.rounded = matmul_e5m2;
    }
    return out;
  }();
  static const CpuKernels table = [] {
    CpuKernels out = avx512::kernels();
    out.isa = Isa::avx512_bf16;
    out.layouts = layouts;
    out.round_pieces = round_pieces;
    out.peak_bf16 = peak_bf16;
    out.store_kv = store_kv;
    out.attention = attention;
    out.merge_attention = merge_attention;
    return out;
  }();
  return table;
}

}  // namespace avx512_bf16
}  // namespace gale
