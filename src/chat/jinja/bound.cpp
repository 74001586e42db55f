#include <algorithm>

#include "chat/jinja/builtins.h"

namespace gale::jinja {

Bound::Bound(const char* function, const Args& args, std::initializer_list<std::string_view> names, size_t required)
    : function_(function), values_(names.size()) {
  if (args.positional.size() > names.size()) {
    raise("{}() takes at most {} argument(s), {} given", function, names.size(), args.positional.size());
  }
  for (size_t i = 0; i < args.positional.size(); ++i) values_[i] = &args.positional[i];
  for (const auto& [name, value] : args.named) {
    const auto it = std::find(names.begin(), names.end(), name);
    if (it == names.end()) raise("{}() got an unexpected keyword argument '{}'", function, name);
    const Value*& slot = values_[size_t(it - names.begin())];
    if (slot) raise("{}() got multiple values for argument '{}'", function, name);
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!values_[i]) raise("{}() is missing its argument '{}'", function, std::data(names)[i]);
  }
}

bool Bound::flag(size_t i, bool fallback) const { return has(i) ? truth(*values_[i]) : fallback; }

int64_t Bound::integer(size_t i, int64_t fallback) const {
  if (!has(i)) return fallback;
  const Value& v = *values_[i];
  if (v.is_undefined()) v.raise_undefined();
  if (!v.is_int()) raise("{}(): '{}' object cannot be interpreted as an integer", function_, v.type_name());
  return v.integer();
}

const Str& Bound::str(size_t i) const {
  const Value& v = *values_[i];
  if (v.is_undefined()) v.raise_undefined();
  if (!v.str()) raise("{}(): a str is expected, not {}", function_, v.type_name());
  return *v.str();
}

std::optional<std::string_view> Bound::optional_text(size_t i) const {
  if (!has(i) || values_[i]->is_none()) return std::nullopt;
  return text(i);
}

}  // namespace gale::jinja
