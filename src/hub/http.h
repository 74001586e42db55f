#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

namespace gale::hub {

/// Headers of one reply; names in lower case, the last of a name wins.
using Headers = std::map<std::string, std::string>;

/// What came back. `status` is 0 where no reply came at all.
struct HttpReply {
  int status = 0;
  Headers headers;       ///< of the reply that was not a redirect
  Headers first;         ///< of the first reply: what the hub itself says of a file that lies on another host
  std::string url;       ///< where the last reply came from
  std::string problem;   ///< why the reply did not come whole, "" where it did
  bool refused = false;  ///< the problem is a rule of ours: another try would meet it again
  bool stopped = false;  ///< on_head or on_body did not want the rest

  /// A header's value, "" where there is none; `name` in lower case.
  std::string header(const std::string& name) const;
};

struct HttpRequest {
  std::string url;
  std::string range = {};  ///< "0-99", or "" for all of it
  bool head = false;       ///< only the headers
  /// Before the first byte of the body, of a reply that is no redirect; false ends the transfer.
  std::function<bool(const HttpReply&)> on_head = {};
  std::function<bool(std::span<const std::byte>)> on_body = {};  ///< false ends the transfer
};

struct HttpOptions {
  std::string endpoint;  ///< whose origin (scheme, host and port) alone may see the token
  std::string token;
  int stall_seconds = 30;    ///< ends a transfer without a byte for so long; slow ones go on
  int connect_seconds = 20;  ///< for the way to a server; no more than stall_seconds
  int whole_seconds = 0;     ///< ends a transfer after so long, however much comes; 0: never
};

/// A client that keeps its connections open. One thread at a time; make one for each. Follows redirects itself: the token is sent
/// to the endpoint's origin only and never again once a redirect has left it, and from https nothing leads to http.
class Http {
 public:
  explicit Http(HttpOptions options);
  ~Http();
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  /// Never throws for what a server or network does: that is in the reply.
  HttpReply send(const HttpRequest& request);

 private:
  struct Curl;
  HttpOptions options_;
  std::unique_ptr<Curl> curl_;
};

/// Seconds since 1970 of a date as HTTP writes it, -1 for what is none.
int64_t http_date(const std::string& text);
/// Whether a redirect may lead there: to https from anywhere, to http from http only, and to nothing else.
bool may_follow(const std::string& from, const std::string& to);
/// True where both have the same scheme, host and port; an address that is none has no origin.
bool same_origin(const std::string& a, const std::string& b);

}  // namespace gale::hub
