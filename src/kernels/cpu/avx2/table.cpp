#define GALE_ISA avx2
#include "kernels/cpu/common/table.h"
