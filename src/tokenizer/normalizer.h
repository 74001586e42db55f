#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tokenizer/regex.h"

namespace gale {

/// One rewriting of the text before it is split.
struct NormalizerStep {
  enum class Kind { nfc, nfd, nfkc, nfkd, lowercase, strip_accents, strip, prepend, replace };
  Kind kind;
  std::string pattern = {};                      ///< replace: what is looked for
  bool is_regex = false;                         ///< replace: `pattern` is a regular expression
  std::string content = {};                      ///< replace, prepend: what is put there
  bool left = true, right = true;                ///< strip: at which ends
  std::shared_ptr<const Regex> regex = nullptr;  ///< replace with is_regex

  bool operator==(const NormalizerStep& o) const {
    return kind == o.kind && pattern == o.pattern && is_regex == o.is_regex && content == o.content && left == o.left &&
           right == o.right;
  }
};

/// The chain of rewritings. Immutable.
class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}

  /// REQUIRES: `text` is valid UTF-8. `continued`: bytes that are not UTF-8 stand before it, so it is no start of a text and
  /// nothing is put in front.
  std::string apply(std::string_view text, bool continued, RegexScratch& scratch) const;
  const std::vector<NormalizerStep>& steps() const { return steps_; }

 private:
  std::vector<NormalizerStep> steps_;
};

}  // namespace gale
