#include "hub/file_list.h"

#include <algorithm>

#include "base/fail.h"
#include "hub/digest.h"
#include "hub/repo_name.h"
#include "hub/untrusted_json.h"

namespace gale::hub {
namespace {

constexpr int64_t kMostBytes = int64_t(1) << 50;
constexpr size_t kMostFiles = 100'000, kMostEtag = 200;

std::string text(const UntrustedJson& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

int64_t size_of(const UntrustedJson& object, std::string_view where, const std::string& name) {
  const auto found = object.find("size");
  if (found == object.end() || found->is_null()) return -1;
  const bool ok = found->is_number_integer() && *found >= 0 && *found <= kMostBytes;
  require(ok, ErrorCode::corrupt, "{}: {} has {} bytes, which cannot be", where, name, found->dump().substr(0, 40));
  return found->get<int64_t>();
}

RepoFile read_file(const UntrustedJson& entry, std::string_view where) {
  RepoFile out;
  out.name = text(entry, "rfilename");
  require(is_safe_path(out.name), ErrorCode::corrupt, "{}: the hub lists a file named {}, which no file here may be", where,
          UntrustedJson(out.name).dump(-1, ' ', true, UntrustedJson::error_handler_t::replace).substr(0, 200));
  out.size = size_of(entry, where, out.name);
  const auto lfs = entry.find("lfs");
  const bool large = lfs != entry.end() && lfs->is_object();
  if (large && lfs->contains("size")) out.size = size_of(*lfs, where, out.name);
  out.etag = clean_etag(large ? text(*lfs, "sha256") : text(entry, "blobId"));
  if (Digest::kind_of(out.etag) != (large ? Digest::Kind::sha256 : Digest::Kind::git_sha1)) out.etag.clear();
  return out;
}

}  // namespace

const RepoFile* FileList::find(std::string_view name) const {
  const auto at = std::ranges::lower_bound(files, name, {}, &RepoFile::name);
  return at != files.end() && at->name == name ? &*at : nullptr;
}

FileList parse_file_list(std::string_view json, std::string_view where) {
  const UntrustedJson answer = parse_untrusted(json, where);
  FileList out;
  out.commit = text(answer, "sha");
  require(is_commit(out.commit), ErrorCode::corrupt,
          "{}: the answer names no commit, so it is not that of a hub; check HF_ENDPOINT", where);
  const auto siblings = answer.find("siblings");
  require(siblings != answer.end() && siblings->is_array() && siblings->size() <= kMostFiles, ErrorCode::corrupt,
          "{}: the answer has no list of files, or one beyond {}", where, kMostFiles);
  for (const UntrustedJson& entry : *siblings) out.files.push_back(read_file(entry, where));
  std::ranges::sort(out.files, {}, &RepoFile::name);
  return out;
}

std::string clean_etag(std::string_view header) {
  if (header.starts_with("W/")) header.remove_prefix(2);
  if (header.size() >= 2 && header.front() == '"' && header.back() == '"') header = header.substr(1, header.size() - 2);
  const bool name =
      is_safe_path(header) && header.find('/') == header.npos && header.front() != '.' && header.size() <= kMostEtag;
  return name ? std::string(header) : "";
}

}  // namespace gale::hub
