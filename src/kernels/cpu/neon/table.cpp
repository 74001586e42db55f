#define GALE_ISA neon
#include "kernels/cpu/common/table.h"
