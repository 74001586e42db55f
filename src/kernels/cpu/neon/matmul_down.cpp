#define GALE_ISA neon
#include "kernels/cpu/neon/simd.h"
// after simd.h: they name the vocabulary
#include "kernels/cpu/neon/quads.h"
// after quads.h
#include "kernels/cpu/common/matmul_down.h"
