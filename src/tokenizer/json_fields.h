#pragma once
#include <string>

#include "base/fail.h"
#include "base/json.h"

namespace gale {

/// A place in a tokenizer.json: the value and its JSON pointer, for messages. The readers below throw Error{corrupt}.
struct JsonAt {
  const Json& json;
  std::string pointer;

  JsonAt at(const std::string& key) const {
    require(json.is_object() && json.contains(key), ErrorCode::corrupt, "tokenizer.json: {} has no '{}'", pointer, key);
    return {json.at(key), pointer + "/" + key};
  }
  JsonAt at(size_t index) const { return {json.at(index), pointer + "/" + std::to_string(index)}; }
  bool has(const std::string& key) const { return json.is_object() && json.contains(key) && !json.at(key).is_null(); }

  std::string text() const {
    require(json.is_string(), ErrorCode::corrupt, "tokenizer.json: {} is no string", pointer);
    return json.get<std::string>();
  }
  std::string text(const std::string& key, const std::string& otherwise) const { return has(key) ? at(key).text() : otherwise; }
  bool flag(const std::string& key, bool otherwise) const {
    if (!has(key)) return otherwise;
    require(json.at(key).is_boolean(), ErrorCode::corrupt, "tokenizer.json: {}/{} is neither true nor false", pointer, key);
    return json.at(key).get<bool>();
  }
  int64_t integer() const {
    require(json.is_number_integer(), ErrorCode::corrupt, "tokenizer.json: {} is no integer", pointer);
    return json.get<int64_t>();
  }
  /// A count from `least` to `most`.
  size_t count(int64_t least, int64_t most) const {
    const int64_t n = integer();
    require(n >= least && n <= most, ErrorCode::corrupt, "tokenizer.json: {} is {}; {} to {} make sense", pointer, n, least,
            most);
    return size_t(n);
  }
  const Json& list() const {
    require(json.is_array(), ErrorCode::corrupt, "tokenizer.json: {} is no array", pointer);
    return json;
  }
  std::string type() const { return at("type").text(); }
  std::string where() const { return "tokenizer.json: " + pointer; }

  [[noreturn]] void unknown(const char* what, const char* known) const {
    fail(ErrorCode::unsupported, "tokenizer.json: {} '{}' at {} is unknown; Gale knows {}", what, type(), pointer, known);
  }
};

/// A pattern as files write it: {"String": "text"} or {"Regex": "expression"}. Says which by `is_regex`; an empty text is an
/// expression too, which matches between all characters.
inline std::string json_pattern(const JsonAt& at, bool& is_regex) {
  is_regex = at.has("Regex");
  const std::string pattern = is_regex ? at.at("Regex").text() : at.at("String").text();
  is_regex |= pattern.empty();
  return pattern;
}

inline constexpr int kMaxSequences = 64;
inline constexpr size_t kMaxSteps = 256;

/// Visits the parts of nested Sequences in order. `key`: how this kind of component calls its list.
template <class Visit>
void for_each_part(const JsonAt& at, const std::string& key, Visit visit, int depth = 0) {
  if (at.json.is_null()) return;
  require(depth <= kMaxSequences, ErrorCode::unsupported, "tokenizer.json: {} nests deeper than {} sequences", at.pointer,
          kMaxSequences);
  if (at.type() != "Sequence") return visit(at);
  const JsonAt parts = at.at(key);
  require(parts.list().size() <= kMaxSteps, ErrorCode::unsupported, "tokenizer.json: {} has {} parts; at most {} are read",
          parts.pointer, parts.json.size(), kMaxSteps);
  for (size_t i = 0; i < parts.json.size(); ++i) for_each_part(parts.at(i), key, visit, depth + 1);
}

}  // namespace gale
