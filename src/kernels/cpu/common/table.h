#pragma once
#include "kernels/cpu/kernels.h"

// The object of function pointers of one instruction set.
namespace gale::GALE_ISA {

extern const std::span<const LayoutKernels> kKnownKernels, kAffineKernels, kDownKernels;
void round_pieces(const float*, const RoundedRows&, int64_t, int64_t);
void rms_norm(const float*, const float*, float, float*, int64_t, int64_t, int64_t);
void add_rows(const float*, const float*, float*, int64_t, int64_t);
void add_bias(const float*, const float*, float*, int64_t, int64_t, int64_t);
void silu_mul(const float*, const float*, float*, int64_t, int64_t);
void rope(float*, const float*, const float*, RopeStyle, int64_t, int64_t, int64_t, int64_t, int64_t);
void store_kv(const float*, const float*, const KvPages&, const KvRows&, int64_t, int64_t);
void attention(const AttentionArgs&, int64_t, int64_t);
void merge_attention(const AttentionArgs&, int64_t, int64_t);
void route(const RouteArgs&, int64_t, int64_t);
void sum_experts(const ExpertSumArgs&, int64_t, int64_t);
extern const ScaleSearch kScaleSearch;
int64_t peak_int8(int64_t, float*);
int64_t peak_bf16(int64_t, float*);
int64_t peak_f32(int64_t, float*);
void read_memory(const std::byte*, int64_t, float*);
void weave(const WeaveArgs&);

const CpuKernels& kernels() {
  static const std::vector<LayoutKernels> layouts = join_layouts({kKnownKernels, kAffineKernels, kDownKernels});
  static const CpuKernels table{Isa::GALE_ISA, layouts,   round_pieces, rms_norm,        add_rows, add_bias,    silu_mul,
                                rope,          store_kv,  attention,    merge_attention, route,    sum_experts, kScaleSearch,
                                peak_int8,     peak_bf16, peak_f32,     read_memory,     weave};
  return table;
}

}  // namespace gale::GALE_ISA
