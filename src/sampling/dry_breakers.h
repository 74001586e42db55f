#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace gale {

/// Texts that end a repeat, found in a row of tokens however they are cut into tokens: "\n\n" also in the second half of ".\n"
/// and the first of "\n*".
class DryBreakers {
 public:
  DryBreakers() = default;
  /// Looks through the vocabulary once for each byte of the texts. REQUIRES: no text is empty.
  DryBreakers(const Tokenizer& tokenizer, const std::vector<std::string>& texts);

  /// How many tokens after tokens[0] the longest text that begins in tokens[0] goes on: 0 where it lies in that token whole, -1
  /// where none begins there and is complete. tokens[i] is at(i), for i < n.
  template <class At>
  ptrdiff_t match(size_t n, At at) const {
    const int32_t first = at(0);
    ptrdiff_t longest = whole_.contains(first) ? 0 : -1;
    const auto begins = begins_.find(first);
    if (begins == begins_.end()) return longest;
    for (State state : begins->second)
      for (size_t i = 1; i < n; ++i) {
        const auto next = continues_[state].find(at(i));
        if (next == continues_[state].end()) break;
        if (next->second != kDone) {
          state = next->second;
          continue;
        }
        longest = std::max(longest, ptrdiff_t(i));
        break;
      }
    return longest;
  }
  /// A text lies in this token whole.
  bool in(int32_t token) const { return whole_.contains(token); }

 private:
  using State = uint32_t;  // of a text, its first bytes matched
  static constexpr State kDone = UINT32_MAX;
  void add(const Tokenizer& tokenizer, const std::string& text);

  std::unordered_set<int32_t> whole_;
  std::unordered_map<int32_t, std::vector<State>> begins_;
  std::vector<std::unordered_map<int32_t, State>> continues_;
};

}  // namespace gale
