#define GALE_ISA neon
#include "kernels/cpu/neon/simd.h"
// after simd.h: they name the vocabulary
#include "kernels/cpu/common/pairs.h"
// after pairs.h
#include "kernels/cpu/common/matmul.h"
