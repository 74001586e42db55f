#include "hub/download.h"

#include "base/fail.h"
#include "base/log.h"
#include "hub/cache.h"

namespace gale::hub {
namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& blob, int64_t size) {
  std::error_code error;
  return fs::is_regular_file(blob, error) && fs::file_size(blob, error) == uintmax_t(size);
}

// False where what came is not what was listed.
bool try_once(const Source& source, Partial& partial, Connections connections, const Settings& settings, Meter& meter) {
  try {
    meter.add(partial.done());
    const std::string hash = Transfer(source, partial, settings, meter).run(connections);
    if (hash.empty() || hash == source.etag) return true;
    meter.add(-partial.done());
    partial.remove();
    require(partial.resumed(), ErrorCode::corrupt,
            "{}: what came has the hash {}, but it should be {}; nothing of it is kept, try again", source.what, hash,
            source.etag);
    return false;
  } catch (const Error&) {
    if (partial.done() == 0) partial.remove();  // what earlier replies brought passed their checks, and the hash decides
    throw;
  }
}

}  // namespace

void download(const Source& source, const fs::path& blob, const fs::path& lock_path, Connections connections,
              const Settings& settings, Meter& meter) {
  const FileLock lock(lock_path, [&] { log_warning("{}: another process downloads it; waiting for that", source.what); });
  if (is_there(blob, source.size)) return meter.add(source.size);
  std::error_code ignored;
  fs::create_directories(blob.parent_path(), ignored);  // `gale cache rm` may have had the lock
  for (bool again = true; again;) {
    Partial partial(blob, source.size);
    again = !try_once(source, partial, connections, settings, meter);
    if (again)
      log_warning("{}: what an earlier download left does not fit; starting from its first byte", source.what);
    else
      partial.commit();
  }
}

}  // namespace gale::hub
