#define GALE_ISA avx512
#include "kernels/cpu/avx512/simd.h"
// after simd.h: they name the vocabulary
#include "kernels/cpu/common/pairs.h"
// after pairs.h
#include "kernels/cpu/common/rows.h"
