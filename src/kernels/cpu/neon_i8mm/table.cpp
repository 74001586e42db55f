#define GALE_ISA neon_i8mm
#include "kernels/cpu/neon/table_over_neon.h"
