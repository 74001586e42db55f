#include "checkpoint/json_file.h"

#include <algorithm>
#include <array>

#include "base/fail.h"
#include "base/file.h"
#include "base/json.h"

namespace gale {
namespace {

/// "[json.exception...] parse error at line 1, column 2: reason": what follows `mark`.
std::string_view reason_in(std::string_view what, std::string_view mark) {
  const size_t at = what.find(mark);
  return at == what.npos ? what : what.substr(at + mark.size());
}

}  // namespace

Json read_json(const std::filesystem::path& path) { return parse_json(read_text(path), path.string()); }

Json parse_json(std::string_view text, std::string_view name) {
  constexpr int kMaxDepth = 64;
  constexpr size_t kMaxKeys = 1 << 15;  // a key is compared with all before it
  std::array<size_t, kMaxDepth + 2> keys = {};
  const auto guard = [&](int depth, Json::parse_event_t event, Json&) {
    require(depth <= kMaxDepth, ErrorCode::corrupt, "{}: nested deeper than {} levels", name, kMaxDepth);
    if (event == Json::parse_event_t::object_start) keys[size_t(depth) + 1] = 0;  // keys are a level below their object
    if (event == Json::parse_event_t::key)
      require(++keys[size_t(depth)] <= kMaxKeys, ErrorCode::corrupt, "{}: an object has more than {} keys", name, kMaxKeys);
    return true;
  };
  Json value;
  try {
    value = Json::parse(text, guard);
  } catch (const Json::parse_error& error) {
    const size_t at = std::min(text.size(), error.byte > 0 ? error.byte - 1 : 0);
    const auto line = 1 + std::count(text.begin(), text.begin() + ptrdiff_t(at), '\n');
    const size_t start = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;  // npos + 1 is 0: the first line
    fail(ErrorCode::corrupt, "{}: line {}, column {}: {}", name, line, at - start + 1, reason_in(error.what(), ": "));
  } catch (const Json::exception& error) {  // a number that no double holds
    fail(ErrorCode::corrupt, "{}: {}", name, reason_in(error.what(), "] "));
  }
  require(value.is_object(), ErrorCode::corrupt, "{}: holds a JSON {}, expected an object", name, value.type_name());
  return value;
}

}  // namespace gale
