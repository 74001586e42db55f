#include "tokenizer/budget.h"

#include <ctime>

#include "base/fail.h"

namespace gale {

void check_growth(size_t size, size_t limit) {
  require(size <= limit, ErrorCode::invalid_argument,
          "the normalized text is more than 32 times as long as the one given; mend the rules of the tokenizer's normalizer that "
          "make "
          "it grow, or send less text at once");
}

double Budget::thread_seconds() noexcept {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

}  // namespace gale
