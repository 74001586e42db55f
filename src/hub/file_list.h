#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gale::hub {

/// One file of a repository, as the hub lists it.
struct RepoFile {
  std::string name;   ///< relative, with '/'; checked by is_safe_path
  int64_t size = -1;  ///< bytes, -1 where the hub does not say
  std::string etag =
      {};  ///< what its blob is called: SHA-256 of large files, git's SHA-1 of small ones, "" where the hub does not say
};

struct FileList {
  std::string commit;
  std::vector<RepoFile> files;  ///< by name

  const RepoFile* find(std::string_view name) const;
};

/// Reads what api/models/<id>/revision/<revision>?blobs=true answers. Nothing in it is trusted: throws Error{corrupt} for what is
/// no such answer, hostile names and impossible sizes. `where` names it.
FileList parse_file_list(std::string_view json, std::string_view where);
/// An ETag without its quotes and "W/", or "" where it cannot be the name of a file.
std::string clean_etag(std::string_view header);

}  // namespace gale::hub
