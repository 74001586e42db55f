#include "hub/repo_name.h"

#include <fmt/format.h>

#include <algorithm>

namespace gale::hub {
namespace {

constexpr size_t kMostPart = 96, kMostFileName = 255, kMostPath = 1024;

bool is_alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The hub's own rule for names of organisations and models.
bool is_name(std::string_view name) {
  if (name.empty() || name.size() > kMostPart || name.find("--") != name.npos || name.find("..") != name.npos) return false;
  if (std::string_view("-.").find(name.front()) != std::string_view::npos) return false;
  if (std::string_view("-.").find(name.back()) != std::string_view::npos) return false;
  return std::ranges::all_of(name, [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_revision(std::string_view revision) {
  return is_safe_path(revision) && revision.find_first_of(" ~^:?*[@") == revision.npos && !revision.ends_with(".lock");
}

bool is_type(std::string_view type) {
  return !type.empty() && type.size() <= 32 &&
         std::ranges::all_of(type, [](char c) { return is_alnum(c) || c == '_' || c == '-'; });
}

bool ends_with_any(std::string_view text, std::initializer_list<std::string_view> ends) {
  return std::ranges::any_of(ends, [&](std::string_view end) { return text.ends_with(end); });
}

// "org/name" or "org/name/file.gguf"
// `marked`: a revision or a type follows, so that it is no path of this machine.
bool read_path(std::string_view path, bool marked, RepoName& out) {
  const size_t slash = path.find('/');
  if (slash == path.npos) return false;
  const size_t end = std::min(path.find('/', slash + 1), path.size());
  const std::string_view name = path.substr(slash + 1, end - slash - 1);
  if (!is_name(path.substr(0, slash)) || !is_name(name)) return false;
  out.id = path.substr(0, end);
  if (end < path.size()) out.file = path.substr(end + 1);
  if (!out.file.empty()) return is_safe_path(out.file) && out.file.ends_with(".gguf");
  if (end < path.size() || ends_with_any(name, {".git", ".ipynb"})) return false;  // which the hub has none of
  return marked || !ends_with_any(name, {".gguf", ".safetensors", ".gale", ".json"});
}

}  // namespace

std::optional<RepoName> parse_repo_name(std::string_view text) {
  RepoName out;
  size_t at = std::min(text.find_first_of("@:"), text.size());
  if (!read_path(text.substr(0, at), at < text.size(), out)) return std::nullopt;
  bool revised = false;
  while (at < text.size()) {
    const char mark = text[at];
    const size_t end = std::min(text.find_first_of("@:", at + 1), text.size());
    const std::string_view value = text.substr(at + 1, end - at - 1);
    if (mark == '@' ? revised || !is_revision(value) : !out.type.empty() || !out.file.empty() || !is_type(value))
      return std::nullopt;
    if (mark == '@') revised = true;
    (mark == '@' ? out.revision : out.type) = value;
    at = end;
  }
  return out;
}

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > kMostPath) return false;
  if (std::ranges::any_of(path, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\'; }))
    return false;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > kMostFileName) return false;
    begin = end + 1;
  }
  return true;
}

bool is_commit(std::string_view text) { return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == text.npos; }

std::string url_encoded(std::string_view text, bool keep_slashes) {
  std::string out;
  for (const char c : text) {
    const bool plain = is_alnum(c) || std::string_view("-._~").find(c) != std::string_view::npos || (keep_slashes && c == '/');
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace gale::hub
