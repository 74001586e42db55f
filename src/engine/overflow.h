#pragma once
#include <cstdint>

#include "gale/request.h"

namespace gale {

/// Tokens [begin, begin + count) of a text that is too long.
struct Gap {
  int64_t begin = 0, count = 0;
};

/// What a text of `size` tokens loses so that `target` are left: what follows the first `keep` (slide), or what lies between the
/// first half, which is at least `keep`, and the last (middle). Nothing where it is no longer than that.
/// REQUIRES: overflow is not error; keep < target.
Gap overflow_gap(Overflow overflow, int64_t keep, int64_t size, int64_t target);

/// Tokens that a prompt is cut to: there is room for `max_tokens` (-1: no limit) more, or for a quarter of the context if that is
/// less.
int64_t prompt_target(int64_t context, int64_t max_tokens);

}  // namespace gale
