#pragma once
#include <functional>
#include <string>

#include "gale/error.h"
#include "hub/http.h"
#include "hub/settings.h"

namespace gale::hub {

/// The hub cannot be reached, or has no time: what is in the cache may do instead.
struct Unreachable : Error {
  using Error::Error;
};

/// How often something is tried again and how long between. What a server asks for by Retry-After comes first.
class Patience {
 public:
  explicit Patience(int tries = 6, std::function<bool()> stop = {}) : tries_(tries), stop_(std::move(stop)) {}
  /// Waits before the next try. Throws Unreachable with `what` and the last reply once there were enough, or where the server
  /// asks for a wait of more than ten minutes.
  void wait(const HttpReply& reply, const std::string& what);
  void progress() { failed_ = 0; }

 private:
  int tries_, failed_ = 0;
  std::function<bool()> stop_;  // ends a wait early
};

/// True for what may go well a moment later: no reply, a reply that was cut, 408, 425, 429 and 5xx.
bool is_passing(const HttpReply& reply);
/// The Error for a reply that says no: 401, 403, 404 and others. `what`: "org/name, file x"; `repo` for advice.
[[noreturn]] void refuse(const HttpReply& reply, const std::string& what, const Settings& settings);
/// A path below the endpoint as text, at most `most` bytes. Throws Unreachable or what refuse() throws.
std::string get_text(Http& http, const Settings& settings, const std::string& url, const std::string& what, int tries,
                     size_t most);

}  // namespace gale::hub
