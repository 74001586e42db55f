#define GALE_ISA avx512
#include "kernels/cpu/avx512/simd.h"
// after simd.h: they name the vocabulary
#include "kernels/cpu/avx512/transpose.h"
// after transpose.h
#include "kernels/cpu/common/weave.h"
