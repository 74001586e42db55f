#include "tokenizer/hash_table.h"

#include <random>

namespace gale {

const HashKey& HashKey::get() noexcept {
  static const HashKey key = [] {
    std::random_device random;
    const auto word = [&] { return uint64_t(random()) << 32 | random(); };
    return HashKey{word(), word() | 1};
  }();
  return key;
}

}  // namespace gale
