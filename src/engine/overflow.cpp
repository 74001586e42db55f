#include "engine/overflow.h"

#include <algorithm>

namespace gale {

Gap overflow_gap(Overflow overflow, int64_t keep, int64_t size, int64_t target) {
  if (size <= target) return {};
  return {overflow == Overflow::middle ? std::max(keep, target / 2) : keep, size - target};
}

int64_t prompt_target(int64_t context, int64_t max_tokens) {
  const int64_t quarter = context / 4;
  return std::max<int64_t>(context - (max_tokens < 0 ? quarter : std::min(max_tokens, quarter)), 1);
}

}  // namespace gale
