#include "hub/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/fail.h"
#include "base/file.h"
#include "hub/repo_name.h"

namespace gale::hub {
namespace {

namespace fs = std::filesystem;
constexpr mode_t kLockMode = 0664;  // whoever shares the cache can wait for it

std::string folder_name(std::string id) {
  id.replace(id.find('/'), 1, "--");
  return "models--" + id;
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  require(!error, ErrorCode::not_found, "cannot make the folder {}: {}; HF_HUB_CACHE names another place", path.string(),
          error.message());
}

int open_lock(const fs::path& path) {
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
  int file = ::open(path.c_str(), kFlags | O_CREAT | O_EXCL, kLockMode);
  if (file >= 0)
    ::fchmod(file, kLockMode);
  else
    file = ::open(path.c_str(), kFlags);
  require(file >= 0 || errno == ENOENT, ErrorCode::not_found, "cannot open the lock {}: {}", path.string(), std::strerror(errno));
  return file;
}

// False where another process holds it.
bool take(int file, bool wait) {
  while (::flock(file, LOCK_EX | (wait ? 0 : LOCK_NB)) != 0) {
    if (errno == EINTR) continue;
    return errno != EWOULDBLOCK && errno != EACCES;
  }
  return true;
}

bool is_gone(int file) {
  struct stat status{};
  return ::fstat(file, &status) == 0 && status.st_nlink == 0;
}

}  // namespace

RepoCache::RepoCache(fs::path cache, std::string id) : cache_(std::move(cache)), folder_(cache_ / folder_name(std::move(id))) {}

fs::path RepoCache::lock(const std::string& name) const { return cache_ / ".locks" / folder_.filename() / (name + ".lock"); }

std::string RepoCache::commit_of(const std::string& revision) const {
  std::error_code error;
  const fs::path ref = folder_ / "refs" / revision;
  std::string commit = is_commit(revision) ? revision : "";
  if (fs::is_regular_file(ref, error)) commit = read_text(ref, 4096);
  while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back()))) commit.pop_back();
  return is_safe_path(commit) && commit.find('/') == commit.npos && fs::is_directory(snapshot(commit), error) ? commit : "";
}

FileList RepoCache::files_of(const std::string& commit) const {
  FileList out{.commit = commit, .files = {}};
  const fs::path root = snapshot(commit);
  std::error_code error;
  for (fs::recursive_directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    if (it->is_directory(error) || !fs::is_regular_file(it->path(), error)) continue;
    RepoFile file{.name = it->path().lexically_relative(root).generic_string(),
                  .size = int64_t(fs::file_size(it->path(), error))};
    if (is_safe_path(file.name)) out.files.push_back(std::move(file));
  }
  std::ranges::sort(out.files, {}, &RepoFile::name);
  return out;
}

void RepoCache::prepare() const {
  for (const fs::path& folder :
       {folder_ / "blobs", folder_ / "snapshots", folder_ / "refs", cache_ / ".locks" / folder_.filename()})
    make_folder(folder);
  std::error_code error;
  const fs::path tag = cache_ / "CACHEDIR.TAG";
  if (fs::exists(tag, error)) return;
  AtomicFile file(tag);
  file.write(
      "Signature: 8a477f597d28d172789f06886806bc55\n# Models of huggingface_hub and Gale, which can be had again: "
      "https://bford.info/cachedir/\n");
  file.commit();
}

void RepoCache::write_ref(const std::string& revision, const std::string& commit) const {
  if (revision == commit || !is_safe_path(revision)) return;
  const fs::path ref = folder_ / "refs" / revision;
  std::error_code error;
  if (fs::is_regular_file(ref, error) && read_text(ref, 4096) == commit) return;
  make_folder(ref.parent_path());
  AtomicFile file(ref);
  file.write(commit);
  file.commit();
}

bool RepoCache::has(const std::string& commit, const RepoFile& file) const {
  std::error_code error;
  const fs::path path = snapshot(commit) / file.name;
  return fs::is_regular_file(path, error) && (file.size < 0 || fs::file_size(path, error) == uintmax_t(file.size));
}

// The link takes its place in one step: another process may have just made the same one, and be reading through it.
void RepoCache::link(const std::string& commit, const RepoFile& file, const std::string& blob_name) const {
  const fs::path pointer = snapshot(commit) / file.name;
  make_folder(pointer.parent_path());
  if (has(commit, file)) return;
  static std::atomic<unsigned> count{0};
  const fs::path fresh = pointer.parent_path() / fmt::format(".link-{}-{}", ::getpid(), count++);
  std::error_code error, ignored;
  fs::create_symlink(blob(blob_name).lexically_relative(pointer.parent_path()), fresh, error);
  if (!error) fs::rename(fresh, pointer, error);
  if (!error) return;
  fs::remove(fresh, ignored);
  std::error_code moved;  // a file system without links
  fs::rename(blob(blob_name), pointer, moved);
  require(!moved || has(commit, file), ErrorCode::not_found, "cannot make {}: {}", pointer.string(), error.message());
}

FileLock::FileLock(const fs::path& path, const std::function<void()>& waiting) {
  bool told = false;
  while (true) {
    make_folder(path.parent_path());  // each time: `gale cache rm` removes it
    file_ = open_lock(path);
    if (file_ < 0) continue;  // it went between two looks
    if (!take(file_, false)) {
      if (!told) tell(waiting);
      told = true;
      take(file_, true);
    }
    if (!is_gone(file_)) return;
    ::close(file_);
  }
}

void FileLock::tell(const std::function<void()>& waiting) {
  try {
    if (waiting) waiting();
  } catch (...) {  // who does not want to wait throws, and a constructor that throws has no destructor
    ::close(file_);
    throw;
  }
}

FileLock::~FileLock() {
  if (file_ >= 0) ::close(file_);
}

}  // namespace gale::hub
