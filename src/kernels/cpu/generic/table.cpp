#define GALE_ISA generic
#include "kernels/cpu/common/table.h"
