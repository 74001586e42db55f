#pragma once
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace gale {

/// Which tokens are a template's own markers, so that what somebody wrote never becomes one once it stands in a prompt beside
/// the template's text. Immutable.
class PlainText {
 public:
  /// Special tokens are, and added ones that `template_source` names: markers such as "<|User|>" are not special in every
  /// vocabulary. Those of nothing but spaces mark nothing.
  explicit PlainText(const Tokenizer& tokenizer, std::string_view template_source = "");

  /// By id, for PlainRange. It must outlive the ranges.
  const std::vector<bool>& special() const { return special_; }
  const std::vector<bool>& markers() const { return markers_; }

 private:
  std::vector<bool> special_, markers_;
};

}  // namespace gale
