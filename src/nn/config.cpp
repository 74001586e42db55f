#include "nn/config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/fail.h"
#include "base/json.h"

namespace gale {
namespace {
const Json kEmpty = Json::object();
}

Config::Config(const Json& json, std::string where) : json_(&json), where_(std::move(where)) {
  require(json.is_object(), ErrorCode::corrupt, "{}: expected a JSON object", where_);
}

const Json* Config::find(std::string_view key) const {
  const auto it = json_->find(key);
  return it == json_->end() || it->is_null() ? nullptr : &*it;
}

void Config::bad(std::string_view key, std::string_view wanted) const {
  const Json* value = find(key);
  if (value == nullptr) fail(ErrorCode::corrupt, "{}: \"{}\" is missing; it must be {}", where_, key, wanted);
  fail(ErrorCode::corrupt, "{}: \"{}\" is {}, but it must be {}", where_, key, value->dump().substr(0, 80), wanted);
}

bool Config::has(std::string_view key) const { return find(key) != nullptr; }

int64_t Config::integer(std::string_view key, std::optional<int64_t> otherwise, int64_t lowest, int64_t highest) const {
  const Json* value = find(key);
  if (value == nullptr && otherwise) return *otherwise;
  const auto wanted = [&] { return fmt::format("an integer from {} to {}", lowest, highest); };
  if (value == nullptr || !value->is_number_integer()) bad(key, wanted());
  const int64_t n = value->get<int64_t>();
  if (n < lowest || n > highest) bad(key, wanted());
  return n;
}

double Config::number(std::string_view key, std::optional<double> otherwise, double lowest, double highest) const {
  const Json* value = find(key);
  if (value == nullptr && otherwise) return *otherwise;
  const bool bounded = lowest > std::numeric_limits<double>::lowest() || highest < std::numeric_limits<double>::max();
  const auto wanted = [&] { return bounded ? fmt::format("a number from {} to {}", lowest, highest) : "a finite number"; };
  if (value == nullptr || !value->is_number()) bad(key, wanted());
  const double x = value->get<double>();
  if (!std::isfinite(x) || x < lowest || x > highest) bad(key, wanted());
  return x;
}

bool Config::flag(std::string_view key, bool otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) bad(key, "true or false");
  return value->get<bool>();
}

std::string Config::text(std::string_view key, std::optional<std::string> otherwise) const {
  const Json* value = find(key);
  if (value == nullptr && otherwise) return *otherwise;
  if (value == nullptr || !value->is_string()) bad(key, "a string");
  return value->get<std::string>();
}

std::string Config::choice(std::string_view key, std::string_view otherwise,
                           std::initializer_list<std::string_view> known) const {
  std::string value = text(key, std::string(otherwise));
  if (std::find(known.begin(), known.end(), value) == known.end())
    fail(ErrorCode::unsupported, "{}: \"{}\" is \"{}\", which this model cannot do; known are {}", where_, key,
         value.substr(0, 80), fmt::join(known, ", "));
  return value;
}

std::string Config::text_at(std::string_view key, size_t i) const {
  const Json* value = find(key);
  if (value == nullptr) return "";
  if (!value->is_array()) bad(key, "a list of strings");
  if (i >= value->size()) bad(key, fmt::format("a list with an entry {}", i));
  if (!(*value)[i].is_string()) bad(key, "a list of strings");
  return (*value)[i].get<std::string>();
}

Config Config::child(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return Config(kEmpty, where_ + "/" + std::string(key));
  if (!value->is_object()) bad(key, "an object");
  return Config(*value, where_ + "/" + std::string(key));
}

}  // namespace gale
