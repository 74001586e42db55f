#define GALE_ISA avx2
#include "kernels/cpu/avx2/simd.h"
// after simd.h: they name the vocabulary
#include "kernels/cpu/avx2/dots.h"
#include "kernels/cpu/common/pairs.h"
// after pairs.h and dots.h
#include "kernels/cpu/common/matmul_known.h"
