#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace gale::hub {

struct CachedRevision {
  std::string commit;
  std::vector<std::string> refs;  ///< branches and tags that were at it when last seen
  int64_t files = 0, bytes = 0;
};

/// A model in the cache, whoever downloaded it.
struct CachedRepo {
  std::string id;
  std::filesystem::path folder;
  int64_t files = 0, bytes = 0;  ///< of all revisions; what they share counts once
  int64_t partial_bytes = 0;     ///< of downloads that were interrupted
  int64_t modified = 0;          ///< seconds since 1970 of the newest blob
  std::vector<CachedRevision> revisions;
};

/// What was found wrong in a repository.
struct CacheFault {
  std::string repo, file;  ///< relative to its folder
  std::string problem;
};
struct CacheCheck {
  int64_t files = 0, bytes = 0, unknown = 0;  ///< checked; unknown: files whose names are no hashes
  std::vector<CacheFault> faults;
};

/// Models by name; an absent cache is an empty one. Throws Error{not_found} where it is no folder that can be read.
std::vector<CachedRepo> scan_cache(const std::filesystem::path& cache);
/// The repository of that id. Throws Error{not_found} listing what there is.
CachedRepo find_cached(const std::filesystem::path& cache, const std::string& id);
/// The revision of a branch, tag or commit (its first letters do). Throws Error{not_found} listing them.
const CachedRevision& find_revision(const CachedRepo& repo, const std::string& revision);
/// Removes a whole repository with its locks, or one revision with what no other one uses. Throws Error{not_found} while another
/// process downloads into it.
void remove_repo(const std::filesystem::path& cache, const CachedRepo& repo);
void remove_revision(const std::filesystem::path& cache, const CachedRepo& repo, const CachedRevision& revision);
/// Bytes that remove_revision() would free.
int64_t bytes_of_revision_alone(const CachedRepo& repo, const CachedRevision& revision);
/// Reads all blobs and compares them with the hashes they are named by; looks for links that lead nowhere. `step` hears of the
/// bytes read.
void verify_repo(const CachedRepo& repo, CacheCheck& check, const std::function<void(int64_t)>& step = {});

}  // namespace gale::hub
