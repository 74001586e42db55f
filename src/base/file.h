#pragma once
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace gale {

/// The whole file as text. Throws Error{not_found}, or Error{corrupt} above `max_bytes` (small files only: configs, templates).
std::string read_text(const std::filesystem::path& path, size_t max_bytes = size_t(64) << 20);

/// Writes a file that appears whole or not at all: bytes go to a file without a name, or `<path>.tmp-<pid>` where the file system
/// has none, and commit() gives it its name; without commit() it is gone. Throws Error{out_of_memory} when the disk is full,
/// Error{not_found} when the folder is missing.
class AtomicFile {
 public:
  /// `mode`: the file's permissions, less the umask.
  explicit AtomicFile(std::filesystem::path path, unsigned mode = 0666);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  size_t written() const { return written_; }
  /// Replaces bytes that are written already: a header that is only known at the end.
  void overwrite(size_t offset, std::span<const std::byte> bytes);
  void commit();
  /// The same under another name on the same file system.
  void commit_as(std::filesystem::path path) {
    path_ = std::move(path);
    commit();
  }

 private:
  std::filesystem::path path_, temporary_;
  std::FILE* file_;
  bool nameless_ = false;
  size_t written_ = 0;
};

}  // namespace gale
