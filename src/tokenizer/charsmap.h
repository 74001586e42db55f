#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/source_text.h"

namespace gale {

/// sentencepiece's precompiled normalization: a double-array trie of texts and what each becomes. Immutable.
class CharsMap {
 public:
  /// How places in the text are looked up.
  enum class Match {
    grapheme,  ///< as the `tokenizers` package: grapheme clusters of less than 6 bytes, else each character, by their shortest
               ///< start
    longest    ///< as sentencepiece: the longest text that begins there
  };

  /// `blob`: length of the trie in bytes (u32), the trie, the texts, each ending with a zero byte. Throws Error{corrupt} naming
  /// `where` for lengths that do not fit.
  CharsMap(std::string_view blob, std::string_view where);
  /// From base64, as tokenizer.json writes it.
  static CharsMap from_base64(std::string_view text, std::string_view where);

  /// Throws Error{invalid_argument} where the text becomes longer than `limit`.
  void apply(SourceText& text, Match match, size_t limit) const;
  struct Found {
    size_t length = 0;      ///< bytes of the text that are replaced; 0: nothing
    std::string_view text;  ///< by what
  };
  /// The rule for the longest start of a text, of those that end between characters.
  Found longest(std::string_view text) const;
  const std::string& blob() const { return blob_; }

 private:
  Found find(std::string_view text, bool longest) const;
  void apply_longest(SourceText& text, size_t limit) const;
  void apply_clusters(SourceText& text, size_t limit) const;
  std::string_view text_at(uint32_t offset) const;

  std::string blob_;
  std::vector<uint32_t> trie_;
  size_t texts_at_ = 0;  // in the blob
};

/// Length of the first grapheme cluster of a text, which is not empty.
size_t grapheme_length(std::string_view text) noexcept;

}  // namespace gale
