#define GALE_ISA avx512_bf16
#include "kernels/cpu/avx512/simd.h"
// after simd.h: they name the vocabulary
#include "kernels/cpu/avx512_bf16/pairs.h"
// after pairs.h
#include "kernels/cpu/common/peak.h"
