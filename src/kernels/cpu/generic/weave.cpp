#define GALE_ISA generic
#include "kernels/cpu/generic/simd.h"
// after simd.h: they name the vocabulary
#include "kernels/cpu/common/transpose.h"
// after transpose.h
#include "kernels/cpu/common/weave.h"
