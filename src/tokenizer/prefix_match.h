#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace gale {

/// A text that is looked for in bytes which come one by one, and how much of it they end with (Knuth, Morris and Pratt).
struct PrefixMatch {
  std::string text;
  std::vector<size_t> shorter;  ///< shorter[n]: the longest proper end of the first n bytes that is also their start
  size_t matched = 0;

  explicit PrefixMatch(std::string wanted) : text(std::move(wanted)), shorter(text.size() + 1, 0) {
    for (size_t n = 1, k = 0; n < text.size(); ++n) {
      while (k > 0 && text[n] != text[k]) k = shorter[k];
      if (text[n] == text[k]) ++k;
      shorter[n + 1] = k;
    }
  }

  /// True where the text is complete with this byte; one that overlaps it may follow. REQUIRES: the text is not empty.
  bool push(char c) {
    while (matched == text.size() || (matched > 0 && text[matched] != c)) matched = shorter[matched];
    if (text[matched] == c) ++matched;
    return matched == text.size();
  }
};

}  // namespace gale
