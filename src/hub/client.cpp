#include "hub/client.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <ctime>
#include <thread>

#include "base/clock.h"
#include "base/fail.h"
#include "base/log.h"

namespace gale::hub {
namespace {

constexpr double kFirstWait = 0.25, kLongestWait = 600, kTold = 3, kSlice = 0.05;

// Seconds of "Retry-After", which is a number or a date; 0 without one.
double asked_wait(const HttpReply& reply) {
  const std::string text = reply.header("retry-after");
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size()) return std::max(0.0, double(seconds));
  const int64_t date = text.empty() ? -1 : http_date(text);
  return date < 0 ? 0 : std::max(0.0, double(date - int64_t(std::time(nullptr))));
}

std::string reason(const HttpReply& reply) {
  if (!reply.problem.empty()) return reply.problem;
  if (reply.status == 429) return "status 429, too many requests";
  return fmt::format("status {}", reply.status);
}

}  // namespace

void Patience::wait(const HttpReply& reply, const std::string& what) {
  const double asked = asked_wait(reply);
  if (asked > kLongestWait)
    throw Unreachable(
        ErrorCode::out_of_memory,
        fmt::format("{}: the hub wants no request for {:.0f} minutes ({}); try again then", what, asked / 60, reason(reply)));
  if (++failed_ >= tries_) throw Unreachable(ErrorCode::not_found, fmt::format("{}: {}", what, reason(reply)));
  const double seconds = std::max(asked, kFirstWait * std::pow(2, failed_ - 1));
  if (seconds >= kTold) log_warning("{}: {}; trying again in {:.0f} s", what, reason(reply), seconds);
  for (const double end = now_seconds() + seconds; now_seconds() < end && !(stop_ && stop_());)
    std::this_thread::sleep_for(std::chrono::duration<double>(kSlice));
}

bool is_passing(const HttpReply& reply) {
  if (reply.stopped || reply.refused) return false;
  return !reply.problem.empty() || reply.status == 408 || reply.status == 425 || reply.status == 429 || reply.status >= 500;
}

void refuse(const HttpReply& reply, const std::string& what, const Settings& settings) {
  if (reply.refused) fail(ErrorCode::corrupt, "{}: {}", what, reply.problem);
  const std::string said = reply.header("x-error-message");
  const std::string quoted = said.empty() ? "" : fmt::format(", \"{}\"", said.substr(0, 200));
  const std::string at = fmt::format("{}: {} answers {}{}", what, settings.shown_endpoint(), reply.status, quoted);
  const bool gated = reply.header("x-error-code") == "GatedRepo";
  if (reply.status == 401 && settings.token.empty())
    fail(ErrorCode::not_found,
         "{}: it does not exist, or it is private or gated; check the name, or log in with gale login (or HF_TOKEN)", at);
  if (reply.status == 401)
    fail(ErrorCode::not_found, "{}: the token of {} is not valid there, or the name is wrong; gale login takes a new one", at,
         settings.token_source);
  if (reply.status == 403 || gated)
    fail(ErrorCode::not_found, "{}: access is refused; {}", at,
         settings.token.empty() ? "log in with gale login (or HF_TOKEN)"
                                : "ask for access on the model's page, or use a token that may read it");
  if (reply.status == 404) {
    const std::string code = reply.header("x-error-code");
    fail(ErrorCode::not_found, "{}: {}", at,
         code == "RevisionNotFound" ? "the repository has no such revision; check what stands behind the @"
         : code == "EntryNotFound"  ? "the repository has no such file"
                                    : "no such repository, revision or file; check the spelling");
  }
  fail(ErrorCode::corrupt, "{}: that is no answer of a hub; check HF_ENDPOINT and the proxy", at);
}

std::string get_text(Http& http, const Settings& settings, const std::string& url, const std::string& what, int tries,
                     size_t most) {
  Patience patience(tries);
  while (true) {
    std::string body;
    HttpRequest request{.url = url};
    request.on_body = [&](std::span<const std::byte> bytes) {
      body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return body.size() <= most;
    };
    const HttpReply reply = http.send(request);
    require(!reply.stopped, ErrorCode::corrupt, "{}: the answer of {} has more than {} bytes", what, settings.shown_endpoint(),
            most);
    if (!is_passing(reply) && reply.status == 200) return body;
    if (!is_passing(reply)) refuse(reply, what, settings);
    patience.wait(reply, fmt::format("{}: cannot be read from {}", what, settings.shown_endpoint()));
  }
}

}  // namespace gale::hub
