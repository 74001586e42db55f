#define GALE_ISA avx512
#include "kernels/cpu/common/table.h"
