#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "hub/file_list.h"

namespace gale::hub {

/// One repository's part of the cache that huggingface_hub reads and writes too:
///   models--org--name/blobs/<etag>                    the bytes
///   models--org--name/snapshots/<commit>/<file>       relative links to them
///   models--org--name/refs/<revision>                 the commit that a branch or tag was at
///   .locks/models--org--name/<etag>.lock              held while a blob is being written
class RepoCache {
 public:
  RepoCache(std::filesystem::path cache, std::string id);

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path blob(const std::string& name) const { return folder_ / "blobs" / name; }
  std::filesystem::path lock(const std::string& name) const;
  std::filesystem::path snapshot(const std::string& commit) const { return folder_ / "snapshots" / commit; }

  /// The commit of a revision as last seen, or the commit itself where its snapshot is there; "" for none.
  std::string commit_of(const std::string& revision) const;
  /// The files of a snapshot with their sizes; links that lead nowhere count as absent.
  FileList files_of(const std::string& commit) const;
  /// Makes the folders, and the mark by which backups leave caches out.
  void prepare() const;
  void write_ref(const std::string& revision, const std::string& commit) const;
  /// Whether a snapshot has a file, of the size that is listed.
  bool has(const std::string& commit, const RepoFile& file) const;
  /// Names a blob in a snapshot. Where the file system has no links the file itself moves there.
  void link(const std::string& commit, const RepoFile& file, const std::string& blob_name) const;

 private:
  std::filesystem::path cache_, folder_;
};

/// An exclusive flock as filelock's, which huggingface_hub takes: whoever else writes the blob waits.
class FileLock {
 public:
  /// Waits where another process has it, after calling `waiting` once, which throws where it will not wait. Goes on without it
  /// where the file system has no locks.
  FileLock(const std::filesystem::path& path, const std::function<void()>& waiting);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  void tell(const std::function<void()>& waiting);

  int file_ = -1;
};

}  // namespace gale::hub
