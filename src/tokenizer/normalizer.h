#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/charsmap.h"
#include "tokenizer/regex.h"
#include "tokenizer/sentencepiece_text.h"
#include "tokenizer/source_text.h"

namespace gale {

/// One rewriting of the text before it is split.
struct NormalizerStep {
  enum class Kind {
    nfc,
    nfd,
    nfkc,
    nfkd,
    lowercase,
    strip_accents,
    strip,
    prepend,
    replace,
    nmt,
    byte_letters,
    bert,
    precompiled,
    collapse_spaces,  ///< leading and trailing spaces go, runs become one
    sentencepiece     ///< all that a .model file asks for
  };
  /// What BertNormalizer does.
  struct Bert {
    bool clean_text = true, chinese_chars = true, strip_accents = true, lowercase = true;
    bool operator==(const Bert&) const = default;
  };
  Kind kind;
  std::string pattern = {};                                ///< replace: what is looked for
  bool is_regex = false;                                   ///< replace: `pattern` is a regular expression
  std::string content = {};                                ///< replace, prepend: what is put there
  bool left = true, right = true;                          ///< strip: at which ends
  Bert bert = {};                                          ///< bert
  std::shared_ptr<const Regex> regex = nullptr;            ///< replace with is_regex
  std::shared_ptr<const CharsMap> charsmap = nullptr;      ///< precompiled
  CharsMap::Match match = CharsMap::Match::grapheme;       ///< precompiled
  std::optional<SentencePieceRules> rules = std::nullopt;  ///< sentencepiece

  bool operator==(const NormalizerStep& o) const {
    return kind == o.kind && pattern == o.pattern && is_regex == o.is_regex && content == o.content && left == o.left &&
           right == o.right && bert == o.bert && charsmap == o.charsmap && match == o.match && rules == o.rules;
  }
};

/// The chain of rewritings. Immutable.
class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}

  /// REQUIRES: `text` is valid UTF-8. Throws Error{invalid_argument} where rules make it grow beyond the call's budget.
  void apply(SourceText& text, RegexScratch& scratch) const;
  std::string apply(std::string_view text, RegexScratch& scratch) const;
  const std::vector<NormalizerStep>& steps() const { return steps_; }

 private:
  std::vector<NormalizerStep> steps_;
};

}  // namespace gale
