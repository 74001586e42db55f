#pragma once
#include <span>

#include "kernels/cpu/matmul_kernels.h"

// Lists of kernels.
namespace gale::GALE_ISA {

// Entries of layouts that share their kernels.
template <int N>
struct Entries {
  static constexpr int kCount = N;
  LayoutKernels all[N];
};
// All lists as one.
template <size_t... N>
constexpr auto in_one(const LayoutKernels (&... lists)[N]) {
  Entries<int((N + ...))> out{};
  int count = 0;
  const auto add = [&](const auto& list) {
    for (const LayoutKernels& entry : list) out.all[count++] = entry;
  };
  (add(lists), ...);
  return out;
}

}  // namespace gale::GALE_ISA
