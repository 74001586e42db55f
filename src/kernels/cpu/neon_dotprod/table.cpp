#define GALE_ISA neon_dotprod
#include "kernels/cpu/neon/table_over_neon.h"
