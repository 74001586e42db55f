#include "base/parse_json.h"

#include <algorithm>
#include <vector>

#include "base/fail.h"
#include "base/json.h"

namespace gale {
namespace {

constexpr int64_t kMostKeys = 1 << 15;

/// "[json.exception...] parse error at line 1, column 2: reason": what follows `mark`.
std::string_view reason_in(std::string_view what, std::string_view mark) {
  const size_t at = what.find(mark);
  return at == what.npos ? what : what.substr(at + mark.size());
}

}  // namespace

Json parse_json_text(std::string_view text, std::string_view where, int most_levels, WantedKey wanted) {
  std::vector<int64_t> keys(size_t(most_levels) + 2);
  const auto guard = [&](int level, Json::parse_event_t event, Json& value) {
    require(level <= most_levels, ErrorCode::corrupt, "{}: nested deeper than {} levels", where, most_levels);
    if (event == Json::parse_event_t::object_start) keys[size_t(level) + 1] = 0;  // keys are a level below their object
    if (event != Json::parse_event_t::key) return true;
    if (wanted != nullptr && !wanted(level, value.get_ref<const std::string&>())) return false;
    require(++keys[size_t(level)] <= kMostKeys, ErrorCode::corrupt, "{}: an object has more than {} keys", where, kMostKeys);
    return true;
  };
  try {
    return Json::parse(text, guard);
  } catch (const Json::parse_error& error) {
    const size_t at = std::min(text.size(), error.byte > 0 ? error.byte - 1 : 0);
    const auto line = 1 + std::count(text.begin(), text.begin() + ptrdiff_t(at), '\n');
    const size_t start = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;  // npos + 1 is 0: the first line
    fail(ErrorCode::corrupt, "{}: line {}, column {}: {}", where, line, at - start + 1, reason_in(error.what(), ": "));
  } catch (const Json::exception& error) {  // a number that no double holds
    fail(ErrorCode::corrupt, "{}: {}", where, reason_in(error.what(), "] "));
  }
}

}  // namespace gale
