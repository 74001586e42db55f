#pragma once
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/json_fwd.h"

namespace gale {

/// Checked reading of an HF-style config. Every getter throws Error{corrupt} naming the key, its value and the file where the
/// value has the wrong type or is out of range; null counts as absent. REQUIRES: the Json outlives the Config.
class Config {
 public:
  Config(const Json& json, std::string where);
  bool has(std::string_view key) const;
  int64_t integer(std::string_view key, std::optional<int64_t> otherwise = {}, int64_t lowest = 1,
                  int64_t highest = 1 << 30) const;
  /// Finite, and from `lowest` to `highest`.
  double number(std::string_view key, std::optional<double> otherwise = {}, double lowest = std::numeric_limits<double>::lowest(),
                double highest = std::numeric_limits<double>::max()) const;
  bool flag(std::string_view key, bool otherwise) const;
  std::string text(std::string_view key, std::optional<std::string> otherwise = {}) const;
  /// A text that must be one of `known`. Throws Error{unsupported} naming the key, its value, the file and what is known.
  std::string choice(std::string_view key, std::string_view otherwise, std::initializer_list<std::string_view> known) const;
  /// Entry `i` of a list of strings, "" where there is no list. A list that ends before `i` is refused.
  std::string text_at(std::string_view key, size_t i) const;
  /// The object under a key; an empty one where absent.
  Config child(std::string_view key) const;
  const std::string& where() const { return where_; }

 private:
  const Json* find(std::string_view key) const;
  [[noreturn]] void bad(std::string_view key, std::string_view wanted) const;
  const Json* json_;
  std::string where_;
};

}  // namespace gale
