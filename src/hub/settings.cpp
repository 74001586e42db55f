#include "hub/settings.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/fail.h"
#include "base/file.h"

namespace gale::hub {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_true(std::string value) {
  std::ranges::transform(value, value.begin(), [](unsigned char c) { return char(std::toupper(c)); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

fs::path home() {
  const std::string home = variable("HOME");
  return home.empty() ? fs::path("/") : fs::path(home);
}

// "$HOME" and "${HOME}" of files that no shell reads; a variable that is not set stays as it is written.
std::string with_variables(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t dollar = std::min(text.find('$', at), text.size());
    out += text.substr(at, dollar - at);
    const bool braced = dollar + 1 < text.size() && text[dollar + 1] == '{';
    size_t end = dollar + 1 + braced;
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_')) ++end;
    const std::string name = dollar < text.size() ? text.substr(dollar + 1 + braced, end - dollar - 1 - braced) : "";
    const bool closed = !braced || (end < text.size() && text[end] == '}');
    const char* value = name.empty() || !closed ? nullptr : std::getenv(name.c_str());
    at = std::min(end + (braced && closed), text.size());
    out += value != nullptr ? value : text.substr(dollar, at - dollar);
  }
  return out;
}

// "~/models" as a shell would read it.
fs::path expanded(const std::string& written) {
  const std::string text = with_variables(written);
  return text == "~" || text.starts_with("~/") ? home() / text.substr(std::min<size_t>(2, text.size())) : fs::path(text);
}

fs::path first_path(std::initializer_list<const char*> names, const fs::path& fallback) {
  for (const char* name : names)
    if (const std::string value = variable(name); !value.empty()) return expanded(value);
  return fallback;
}

// An address without the name and password before its host.
std::string without_password(const std::string& url) {
  const size_t begin = url.find("://") == url.npos ? 0 : url.find("://") + 3;
  const size_t at = url.substr(0, url.find_first_of("/?#", begin)).rfind('@');
  return at == url.npos || at < begin ? url : url.substr(0, begin) + url.substr(at + 1);
}

std::string endpoint() {
  std::string out = variable("HF_ENDPOINT");
  if (out.empty()) return "https://huggingface.co";
  while (out.ends_with('/')) out.pop_back();
  const bool web = out.starts_with("https://") || out.starts_with("http://");
  const bool plain = std::ranges::all_of(out, [](char c) { return c > ' ' && c < 0x7f; });
  require(web && plain, ErrorCode::invalid_argument,
          "HF_ENDPOINT is \"{}\", but must be an address such as https://huggingface.co", without_password(out));
  return out;
}

void read_token(Settings& out) {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    out.token_source = name;
    out.token = clean_token(variable(name), name);
    if (!out.token.empty()) return;
  }
  std::error_code ignored;
  out.token_source = out.token_path.string();
  if (fs::is_regular_file(out.token_path, ignored)) out.token = clean_token(read_text(out.token_path, 1 << 16), out.token_source);
}

void find_token(Settings& out) {
  if (is_true(variable("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return;
  try {
    read_token(out);
  } catch (const Error& e) {
    out.token_problem = e.what();
  }
}

}  // namespace

Settings Settings::from_environment() {
  Settings out;
  out.endpoint = gale::hub::endpoint();
  const fs::path base = first_path({"HF_HOME"}, first_path({"XDG_CACHE_HOME"}, home() / ".cache") / "huggingface");
  out.cache = first_path({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}, base / "hub");
  out.token_path = first_path({"HF_TOKEN_PATH"}, base / "token");
  const std::string offline = variable("HF_HUB_OFFLINE");
  out.offline = is_true(offline.empty() ? variable("TRANSFORMERS_OFFLINE") : offline);
  if (const std::string text = variable("HF_HUB_DOWNLOAD_TIMEOUT"); !text.empty()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.stall_seconds);
    require(error == std::errc() && end == text.data() + text.size() && out.stall_seconds > 0 && out.stall_seconds <= 86400,
            ErrorCode::invalid_argument, "HF_HUB_DOWNLOAD_TIMEOUT is \"{}\", but must be a number of seconds from 1 to 86400",
            text);
  }
  find_token(out);
  return out;
}

const std::string& Settings::token_to_send() const {
  require(token_problem.empty(), ErrorCode::invalid_argument, "{}; gale login takes a new one", token_problem);
  return token;
}

std::string Settings::shown_endpoint() const { return without_password(endpoint); }

std::string clean_token(std::string_view text, std::string_view where) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return "";
  const std::string out(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
  require(std::ranges::all_of(out, [](char c) { return c > ' ' && c < 0x7f; }), ErrorCode::invalid_argument,
          "the token of {} has spaces or characters that no token has; copy it again from the hub's settings page", where);
  return out;
}

void save_token(const Settings& settings, const std::string& token) {
  const fs::path folder = settings.token_path.parent_path();
  std::error_code error;
  if (!folder.empty() && !fs::exists(folder, error)) {
    fs::create_directories(folder, error);
    ::chmod(folder.c_str(), 0700);
  }
  const std::string temporary = settings.token_path.string() + ".tmp-" + std::to_string(::getpid());
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  bool written = file >= 0 && ::write(file, token.data(), token.size()) == ssize_t(token.size());
  int reason = errno;
  if (file >= 0 && ::close(file) != 0) written = false, reason = errno;
  if (written && ::rename(temporary.c_str(), settings.token_path.c_str()) != 0) written = false, reason = errno;
  if (written) return;
  ::unlink(temporary.c_str());
  fail(ErrorCode::not_found, "cannot write the token to {}: {}", settings.token_path.string(), std::strerror(reason));
}

}  // namespace gale::hub
