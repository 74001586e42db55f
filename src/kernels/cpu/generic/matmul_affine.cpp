#define GALE_ISA generic
#include "kernels/cpu/generic/simd.h"
// after simd.h: they name the vocabulary
#include "kernels/cpu/common/dots.h"
#include "kernels/cpu/common/pairs.h"
// after pairs.h and dots.h
#include "kernels/cpu/common/matmul_affine.h"
