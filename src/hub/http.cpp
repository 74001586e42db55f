#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <mutex>

#include "base/fail.h"

namespace gale::hub {
namespace {

constexpr int kMostRedirects = 10;
constexpr long kBuffer = 512 << 10;
constexpr size_t kMostHeaders = 256, kMostHeader = 64 << 10;

void start_curl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return out;
}

std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == text.npos ? "" : std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1));
}

/// An address in its parts, as libcurl itself reads it: a second parser would see other hosts in hostile addresses.
class Address {
 public:
  explicit Address(const std::string& text) : url_(curl_url()) {
    valid_ = curl_url_set(url_, CURLUPART_URL, text.c_str(), 0) == CURLUE_OK;
  }
  ~Address() { curl_url_cleanup(url_); }
  Address(const Address&) = delete;
  Address& operator=(const Address&) = delete;
  std::string part(CURLUPart which) const {
    char* text = nullptr;
    if (!valid_ || curl_url_get(url_, which, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return "";
    const std::string out = lower(text);
    curl_free(text);
    return out;
  }
  std::string scheme() const { return part(CURLUPART_SCHEME); }
  bool valid() const { return valid_; }

 private:
  CURLU* url_;
  bool valid_;
};

/// What curl's callbacks see of one hop.
struct Hop {
  const HttpRequest& request;
  HttpReply& reply;
  bool first = false, asked = false;

  bool redirects() const { return reply.status >= 300 && reply.status < 400 && reply.headers.contains("location"); }
  // The body's first byte, or its end where it has none.
  bool ready() {
    if (asked || redirects()) return true;
    asked = true;
    if (request.on_head && !request.on_head(reply)) reply.stopped = true;
    return !reply.stopped;
  }
};

size_t on_header(char* data, size_t one, size_t size, void* context) {
  auto& [request, reply, first, asked] = *static_cast<Hop*>(context);
  const std::string_view line(data, one * size);
  if (line.starts_with("HTTP/")) {  // a new block: after "100 Continue" or a proxy's answer
    reply.headers.clear();
    const size_t space = line.find(' ');
    reply.status = space == line.npos ? 0 : std::atoi(std::string(line.substr(space + 1, 3)).c_str());
  } else if (const size_t colon = line.find(':');
             colon != line.npos && line.size() <= kMostHeader && reply.headers.size() < kMostHeaders) {
    reply.headers[lower(line.substr(0, colon))] = trimmed(line.substr(colon + 1));
  } else if (trimmed(line).empty() && first) {
    reply.first = reply.headers;
  }
  return size;
}

size_t on_data(char* data, size_t one, size_t size, void* context) {
  Hop& hop = *static_cast<Hop*>(context);
  if (hop.redirects()) return size;
  if (!hop.ready()) return CURL_WRITEFUNC_ERROR;
  if (!hop.request.on_body || hop.request.on_body(std::as_bytes(std::span(data, one * size)))) return size;
  hop.reply.stopped = true;
  return CURL_WRITEFUNC_ERROR;
}

}  // namespace

std::string HttpReply::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

int64_t http_date(const std::string& text) { return int64_t(curl_getdate(text.c_str(), nullptr)); }

bool may_follow(const std::string& from, const std::string& to) {
  const std::string scheme = Address(to).scheme();
  return scheme == "https" || (scheme == "http" && Address(from).scheme() == "http");
}

bool same_origin(const std::string& a, const std::string& b) {
  const Address x(a), y(b);
  if (!x.valid() || !y.valid()) return false;
  return std::ranges::all_of(std::initializer_list<CURLUPart>{CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT},
                             [&](CURLUPart part) { return x.part(part) == y.part(part); });
}

struct Http::Curl {
  CURL* easy = curl_easy_init();
  char error[CURL_ERROR_SIZE] = "";
  ~Curl() { curl_easy_cleanup(easy); }

  template <class Value>
  void set(CURLoption option, Value value) {
    curl_easy_setopt(easy, option, value);
  }

  // One reply, redirect or not.
  void hop(Hop& hop, const std::string& url, const std::string& token, const HttpOptions& options) {
    curl_easy_reset(easy);  // connections stay
    error[0] = '\0';
    curl_slist* lines = nullptr;
    if (!token.empty()) lines = curl_slist_append(lines, ("Authorization: Bearer " + token).c_str());
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_HTTPHEADER, lines);
    set(CURLOPT_USERAGENT, "gale/0.1");
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_NOBODY, hop.request.head ? 1L : 0L);
    if (!hop.request.range.empty()) set(CURLOPT_RANGE, hop.request.range.c_str());
    set(CURLOPT_CONNECTTIMEOUT, long(std::min(options.connect_seconds, options.stall_seconds)));
    set(CURLOPT_TIMEOUT, long(options.whole_seconds));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, long(options.stall_seconds));
    set(CURLOPT_BUFFERSIZE, kBuffer);
    set(CURLOPT_ERRORBUFFER, error);
    set(CURLOPT_HEADERFUNCTION, on_header);
    set(CURLOPT_HEADERDATA, &hop);
    set(CURLOPT_WRITEFUNCTION, on_data);
    set(CURLOPT_WRITEDATA, &hop);
    const CURLcode code = curl_easy_perform(easy);
    curl_slist_free_all(lines);
    if (code == CURLE_OK) hop.ready();
    if (code != CURLE_OK && !hop.reply.stopped) hop.reply.problem = error[0] ? error : curl_easy_strerror(code);
  }

  std::string next_url() const {
    char* text = nullptr;
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &text);
    return text == nullptr ? "" : text;
  }
};

Http::Http(HttpOptions options) : options_(std::move(options)) {
  start_curl();
  curl_ = std::make_unique<Curl>();
  require(curl_->easy != nullptr, ErrorCode::out_of_memory, "libcurl does not start");
}
Http::~Http() = default;

HttpReply Http::send(const HttpRequest& request) {
  HttpReply reply;
  reply.url = request.url;
  bool home = true;  // has not left the endpoint yet
  for (int redirects = 0;; ++redirects) {
    home = home && same_origin(reply.url, options_.endpoint);
    reply.status = 0;
    reply.headers.clear();
    Hop hop{request, reply, redirects == 0};
    curl_->hop(hop, reply.url, home ? options_.token : "", options_);
    if (!reply.problem.empty() || reply.stopped || !hop.redirects()) return reply;
    const std::string next = curl_->next_url();
    if (!may_follow(reply.url, next))
      reply.problem =
          fmt::format("it redirects to {}, which is not followed: http(s) leads to http(s), and https to https alone", next);
    else if (redirects == kMostRedirects)
      reply.problem = fmt::format("it redirects more than {} times", kMostRedirects);
    reply.refused = !reply.problem.empty();
    if (reply.refused) return reply;
    reply.url = next;
  }
}

}  // namespace gale::hub
