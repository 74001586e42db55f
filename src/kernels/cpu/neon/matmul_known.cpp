#define GALE_ISA neon
#include "kernels/cpu/neon/simd.h"
// after simd.h: they name the vocabulary
#include "kernels/cpu/neon/quads.h"
// after the dots of quads
#include "kernels/cpu/common/dots.h"
#include "kernels/cpu/common/pairs.h"
// after quads.h, pairs.h and dots.h
#include "kernels/cpu/common/matmul_known.h"
