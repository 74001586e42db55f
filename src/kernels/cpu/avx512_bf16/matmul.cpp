#define GALE_ISA avx512_bf16
#include "kernels/cpu/avx512/simd.h"
// after simd.h: they name the vocabulary
#include "kernels/cpu/avx512_bf16/pairs.h"
// after pairs.h
#include "kernels/cpu/common/tile_number_pairs.h"
#include "kernels/cpu/common/tile_pairs.h"
#include "kernels/cpu/common/walk.h"

namespace gale::avx512_bf16 {

extern const MatmulKernel matmul_pairs = &walk_dense<PairsTile, kPairVectors>;
extern const MatmulKernel matmul_e4m3 = &walk_number_pairs<E4m3>;
extern const MatmulKernel matmul_e5m2 = &walk_number_pairs<E5m2>;

}  // namespace gale::avx512_bf16
