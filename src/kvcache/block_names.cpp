#include "kvcache/block_names.h"

namespace gale {

BlockName BlockNames::root(std::string_view salt) const { return hash_(std::as_bytes(std::span(salt))); }

void BlockNames::extend(std::vector<BlockName>& names, const BlockName& root, std::span<const int32_t> tokens) const {
  const auto slots = size_t(block_slots_);
  while ((names.size() + 1) * slots <= tokens.size()) {
    const BlockName& before = names.empty() ? root : names.back();
    names.push_back(hash_(std::as_bytes(std::span(before.words)), std::as_bytes(tokens.subspan(names.size() * slots, slots))));
  }
}

}  // namespace gale
