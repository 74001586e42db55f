#include "hub/untrusted_json.h"

#include "base/fail.h"

namespace gale::hub {

UntrustedJson parse_untrusted(std::string_view text, std::string_view where) {
  constexpr int kMostDepth = 64;
  constexpr size_t kMostValues = 2'000'000;
  using Event = UntrustedJson::parse_event_t;
  size_t values = 0;
  const auto guard = [&](int depth, Event event, UntrustedJson&) {
    require(depth <= kMostDepth, ErrorCode::corrupt, "{}: the JSON is nested deeper than {} levels", where, kMostDepth);
    if (event == Event::value || event == Event::object_start || event == Event::array_start)
      require(++values <= kMostValues, ErrorCode::corrupt, "{}: the JSON has more than {} values", where, kMostValues);
    return true;
  };
  return UntrustedJson::parse(text, guard, false);
}

}  // namespace gale::hub
