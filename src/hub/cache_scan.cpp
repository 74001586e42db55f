#include "hub/cache_scan.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "base/fail.h"
#include "base/file.h"
#include "hub/cache.h"
#include "hub/digest.h"

namespace gale::hub {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kModels = "models--";

// Files and links below a folder, but not through links to folders.
template <class Visit>
void for_files(const fs::path& root, Visit&& visit) {
  std::error_code error;
  for (fs::recursive_directory_iterator it(root, error), end; !error && it != end; it.increment(error))
    if (it->is_symlink(error) || it->is_regular_file(error)) visit(it->path());
}

// What a snapshot's file is: the blob behind its first link, or itself.
fs::path blob_of(const fs::path& file) {
  std::error_code error;
  if (!fs::is_symlink(file, error)) return file;
  return (file.parent_path() / fs::read_symlink(file, error)).lexically_normal();
}

bool read_status(const fs::path& path, struct stat& out) { return ::stat(path.c_str(), &out) == 0; }

std::set<fs::path> blobs_of(const CachedRepo& repo, const std::string& commit) {
  std::set<fs::path> out;
  for_files(repo.folder / "snapshots" / commit, [&](const fs::path& file) { out.insert(blob_of(file)); });
  return out;
}

int64_t bytes_of(const std::set<fs::path>& blobs) {
  int64_t sum = 0;
  for (const fs::path& blob : blobs)
    if (struct stat status{}; read_status(blob, status)) sum += int64_t(status.st_size);
  return sum;
}

std::set<fs::path> blobs_alone(const CachedRepo& repo, const CachedRevision& revision) {
  std::set<fs::path> out = blobs_of(repo, revision.commit);
  for (const CachedRevision& other : repo.revisions)
    if (other.commit != revision.commit)
      for (const fs::path& blob : blobs_of(repo, other.commit)) out.erase(blob);
  return out;
}

std::map<std::string, std::vector<std::string>> refs_by_commit(const fs::path& folder) {
  std::map<std::string, std::vector<std::string>> out;
  for_files(folder / "refs", [&](const fs::path& ref) {
    std::error_code error;
    if (!fs::is_regular_file(ref, error) || fs::file_size(ref, error) > 4096) return;
    std::string commit = read_text(ref, 4096);
    while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back()))) commit.pop_back();
    out[commit].push_back(ref.lexically_relative(folder / "refs").generic_string());
  });
  return out;
}

CachedRepo scan_repo(const fs::path& folder) {
  CachedRepo out;
  out.folder = folder;
  out.id = folder.filename().string().substr(kModels.size());
  if (const size_t dashes = out.id.find("--"); dashes != out.id.npos) out.id.replace(dashes, 2, "/");
  auto refs = refs_by_commit(folder);
  std::set<fs::path> all;
  std::error_code error;
  for (fs::directory_iterator it(folder / "snapshots", error), end; !error && it != end; it.increment(error)) {
    if (!it->is_directory(error)) continue;
    CachedRevision revision{.commit = it->path().filename().string(), .refs = {}};
    const auto blobs = blobs_of(out, revision.commit);
    revision.refs = refs[revision.commit];
    std::ranges::sort(revision.refs);
    revision.files = int64_t(blobs.size());
    revision.bytes = bytes_of(blobs);
    all.insert(blobs.begin(), blobs.end());
    out.revisions.push_back(std::move(revision));
  }
  std::ranges::sort(out.revisions, {}, &CachedRevision::commit);
  out.files = int64_t(all.size());
  out.bytes = bytes_of(all);
  for_files(folder / "blobs", [&](const fs::path& blob) {
    struct stat status{};
    if (!read_status(blob, status)) return;
    out.modified = std::max(out.modified, int64_t(status.st_mtime));
    if (blob.extension() == ".incomplete") out.partial_bytes += int64_t(status.st_blocks) * 512;
  });
  return out;
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  require(!error, ErrorCode::not_found, "cannot remove {}: {}", path.string(), error.message());
}

// All locks of a repository: what is being downloaded must not go away below whoever downloads it.
std::vector<std::unique_ptr<FileLock>> lock_repo(const fs::path& cache, const CachedRepo& repo) {
  std::vector<std::unique_ptr<FileLock>> out;
  for_files(cache / ".locks" / repo.folder.filename(), [&](const fs::path& path) {
    out.push_back(std::make_unique<FileLock>(path, [&] {
      fail(ErrorCode::not_found, "{} is being downloaded by another process; stop that one, or wait for it", repo.id);
    }));
  });
  return out;
}

void remove_folders(const fs::path& cache, const CachedRepo& repo) {
  remove_tree(repo.folder);
  remove_tree(cache / ".locks" / repo.folder.filename());
}

}  // namespace

std::vector<CachedRepo> scan_cache(const fs::path& cache) {
  std::vector<CachedRepo> out;
  std::error_code error;
  for (fs::directory_iterator it(cache, error), end; !error && it != end; it.increment(error))
    if (it->path().filename().string().starts_with(kModels) && it->is_directory(error))
      out.push_back(scan_repo(it->path().lexically_normal()));  // normal, as the targets of its links will be
  require(!error || error == std::errc::no_such_file_or_directory, ErrorCode::not_found, "cannot read the cache {}: {}",
          cache.string(), error.message());
  std::ranges::sort(out, {}, &CachedRepo::id);
  return out;
}

CachedRepo find_cached(const fs::path& cache, const std::string& id) {
  std::string known;
  for (CachedRepo& repo : scan_cache(cache)) {
    if (repo.id == id) return std::move(repo);
    known += (known.empty() ? "" : ", ") + repo.id;
  }
  fail(ErrorCode::not_found, "{} is not in the cache {}; {}", id, cache.string(),
       known.empty() ? "it is empty" : "it has " + known);
}

const CachedRevision& find_revision(const CachedRepo& repo, const std::string& revision) {
  std::string known;
  for (const CachedRevision& r : repo.revisions) {
    const bool commit = revision.size() >= 6 && r.commit.starts_with(revision);
    if (commit || std::ranges::find(r.refs, revision) != r.refs.end()) return r;
    known += (known.empty() ? "" : ", ") + r.commit;
    for (const std::string& ref : r.refs) known += " (" + ref + ")";
  }
  fail(ErrorCode::not_found, "{} has no revision {} in the cache; it has {}", repo.id, revision, known.empty() ? "none" : known);
}

void remove_repo(const fs::path& cache, const CachedRepo& repo) {
  const auto locks = lock_repo(cache, repo);
  remove_folders(cache, repo);
}

void remove_revision(const fs::path& cache, const CachedRepo& repo, const CachedRevision& revision) {
  const auto locks = lock_repo(cache, repo);
  if (repo.revisions.size() == 1) return remove_folders(cache, repo);
  const auto blobs = blobs_alone(repo, revision);
  for (const std::string& ref : revision.refs) remove_tree(repo.folder / "refs" / ref);
  remove_tree(repo.folder / "snapshots" / revision.commit);
  for (const fs::path& blob : blobs)
    if (blob.parent_path() == repo.folder / "blobs") remove_tree(blob);
}

int64_t bytes_of_revision_alone(const CachedRepo& repo, const CachedRevision& revision) {
  return bytes_of(blobs_alone(repo, revision));
}

void verify_repo(const CachedRepo& repo, CacheCheck& check, const std::function<void(int64_t)>& step) {
  std::map<fs::path, std::string> names;  // of blobs, as a snapshot calls them
  const auto report = [&](const std::string& file, std::string problem) {
    check.faults.push_back({repo.id, file, std::move(problem)});
  };
  for_files(repo.folder / "snapshots", [&](const fs::path& file) {
    std::error_code error;
    const std::string name = file.lexically_relative(repo.folder).generic_string();
    names[blob_of(file)] = name;
    if (!fs::exists(file, error)) report(name, "it leads to a blob that is not there");
    if (!fs::is_symlink(file, error)) ++check.unknown;
  });
  for_files(repo.folder / "blobs", [&](const fs::path& blob) {
    const std::string etag = blob.filename().string();
    struct stat status{};
    if (blob.extension() == ".incomplete" || !read_status(blob, status)) return;
    const Digest::Kind kind = Digest::kind_of(etag);
    ++(kind == Digest::Kind::none ? check.unknown : check.files);
    if (kind == Digest::Kind::none) return;
    check.bytes += int64_t(status.st_size);
    const std::string hash = digest_of(blob, kind, step);
    const auto named = names.find(blob);
    if (hash != etag)
      report(named == names.end() ? "blobs/" + etag : named->second, fmt::format("its hash is {}, but should be {}", hash, etag));
  });
}

}  // namespace gale::hub
