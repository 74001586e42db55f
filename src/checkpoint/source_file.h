#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace gale {

/// A file as it was when something was made from it.
struct SourceFile {
  std::filesystem::path path;  ///< absolute
  int64_t bytes = 0;
  int64_t modified = 0;  ///< of the file's last write, in the system's ticks
  uint64_t sample = 0;   ///< hash of its two ends and of 256 pages between them; of all of it below 2 MB
  uint64_t hash = 0;     ///< of all of it
};

/// Reads the whole file. Throws Error{not_found}.
SourceFile fingerprint(const std::filesystem::path& path);

/// What has changed about the file, which now lies at `path`: "its size is 5 bytes and was 7"; "" where nothing has. Sizes and
/// samples are always compared, which takes milliseconds; all of the content only where the time of the last write is another
/// one, or where `thorough`. Throws Error{not_found} where it cannot be read.
std::string changes_of(const SourceFile& before, const std::filesystem::path& path, bool thorough);

}  // namespace gale
