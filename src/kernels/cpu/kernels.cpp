#include "kernels/cpu/kernels.h"

#include <algorithm>

#include "base/checked.h"

namespace gale {

namespace generic {
const CpuKernels& kernels();
}
#if defined(__x86_64__)
namespace avx2 {
const CpuKernels& kernels();
}
namespace avx512 {
const CpuKernels& kernels();
}
namespace avx512_bf16 {
const CpuKernels& kernels();
}
#elif defined(__aarch64__)
namespace neon {
const CpuKernels& kernels();
}
namespace neon_dotprod {
const CpuKernels& kernels();
}
namespace neon_i8mm {
const CpuKernels& kernels();
}
#endif

std::vector<LayoutKernels> join_layouts(std::initializer_list<std::span<const LayoutKernels>> lists) {
  std::vector<LayoutKernels> out;
  for (const auto& list : lists)
    for (const LayoutKernels& entry : list)
      if (std::ranges::find(out, entry.layout, &LayoutKernels::layout) == out.end()) out.push_back(entry);
  return out;
}

const CpuKernels& cpu_kernels(Isa isa) {
  switch (isa) {
    case Isa::generic:
      return generic::kernels();
#if defined(__x86_64__)
    case Isa::avx2:
      return avx2::kernels();
    case Isa::avx512:
      return avx512::kernels();
    case Isa::avx512_bf16:
      return avx512_bf16::kernels();
#elif defined(__aarch64__)
    case Isa::neon:
      return neon::kernels();
    case Isa::neon_dotprod:
      return neon_dotprod::kernels();
    case Isa::neon_i8mm:
      return neon_i8mm::kernels();
#endif
    default:
      break;
  }
  fail(ErrorCode::unsupported, "this build has no kernels for {}", isa_name(isa));
}

int64_t tile_queries(int64_t k_width, int64_t v_width) {
  return std::min(kMaxTileQueries, kMaxTileFloats / round_up(std::max(k_width, v_width), 16));
}

const LayoutKernels& CpuKernels::find(const Layout& layout) const {
  for (const auto& entry : layouts)
    if (entry.layout == layout) return entry;
  fail(ErrorCode::internal, "no {} kernel for the layout {}", isa_name(isa), layout.name());
}

}  // namespace gale
