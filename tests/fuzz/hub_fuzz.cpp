// Any bytes as what a hub answers about a repository: an Error, or files that are safe to write and a choice among them.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gale/error.h"
#include "hub/choice.h"
#include "hub/file_list.h"
#include "hub/repo_name.h"

namespace gale::hub {
namespace {

void check(const FileList& list) {
  if (!is_commit(list.commit)) std::abort();
  for (const RepoFile& file : list.files) {
    if (!is_safe_path(file.name) || file.size < -1 || clean_etag(file.etag) != file.etag) std::abort();
    if (list.find(file.name) == nullptr) std::abort();
  }
}

void run(std::string_view text) {
  const FileList list = parse_file_list(text, "fuzz");
  check(list);
  // An index says what the model's other files are: the same bytes, which are as hostile.
  choose_files(list, *parse_repo_name("org/name"), {}, [&](const RepoFile&) { return std::string(text); });
}

}  // namespace
}  // namespace gale::hub

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    gale::hub::run({reinterpret_cast<const char*>(data), size});
  } catch (const gale::Error&) {
  }
  return 0;
}
