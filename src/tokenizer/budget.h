#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace gale {

/// What one call may cost: a fixed part and so much for each byte of its text. All steps of a call draw on the same one, so that
/// neither a pattern nor a vocabulary nor a chain of rewritings makes the work grow faster than the text.
struct Budget {
  explicit Budget(size_t text_size)
      : steps(20'000'000 + 64 * uint64_t(text_size)),
        looks(64'000'000 + 512 * uint64_t(text_size)),
        bytes(std::min(size_t(1) << 29, 32 * text_size + (size_t(64) << 10))),
        end(thread_seconds() + 1 + 2e-6 * double(text_size)) {}

  /// False, and nothing is left, where `n` steps are more than there are.
  bool spend(uint64_t n) noexcept {
    const bool enough = n <= steps;
    steps = enough ? steps - n : 0;
    return enough;
  }

  /// The same of looking for long tokens, whose steps are cheap ones: real tokens have up to some hundred bytes.
  bool look(uint64_t n) noexcept {
    const bool enough = n <= looks;
    looks = enough ? looks - n : 0;
    return enough;
  }

  uint64_t steps;  ///< of matching; those that every text takes are not counted
  uint64_t looks;  ///< bytes of long tokens that were compared
  size_t bytes;    ///< of rewritten text. The longest decomposition of Unicode has 11 times the bytes
  double end;      ///< seconds of the thread's own time; twenty times what the slowest real tokenizer needs

  bool late() const noexcept { return thread_seconds() > end; }
  /// The time that this thread has computed for.
  static double thread_seconds() noexcept;
};

/// Throws Error{invalid_argument} where a rewritten text has become longer than it may.
void check_growth(size_t size, size_t limit);

}  // namespace gale
