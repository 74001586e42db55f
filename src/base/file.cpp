#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/fail.h"
#include "base/mmap.h"

namespace gale {

std::string read_text(const std::filesystem::path& path, size_t max_bytes) {
  const auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  require(bytes.size() <= max_bytes, ErrorCode::corrupt, "{} has {} bytes, more than the {} a text file may have", path.string(),
          bytes.size(), max_bytes);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

namespace {
// A file without a name in that folder: whoever is killed, by Ctrl-C or worse, leaves nothing behind. nullptr where the file
// system has none.
std::FILE* open_nameless(const std::filesystem::path& folder, unsigned mode) {
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  std::FILE* file = fd < 0 ? nullptr : ::fdopen(fd, "wb");
  if (fd >= 0 && file == nullptr) ::close(fd);
  return file;
}

std::FILE* open_temporary(const std::filesystem::path& path, unsigned mode) {
  const int fd = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode);
  std::FILE* file = fd < 0 ? nullptr : ::fdopen(fd, "wb");
  if (fd >= 0 && file == nullptr) ::close(fd);
  return file;
}

bool give_name(std::FILE* file, const std::filesystem::path& name) {
  const std::string open_file = "/proc/self/fd/" + std::to_string(::fileno(file));
  std::error_code ignored;
  std::filesystem::remove(name, ignored);  // of a process that had this number and is no more
  return ::linkat(AT_FDCWD, open_file.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}
}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path, unsigned mode)
    : path_(std::move(path)), temporary_(path_.string() + ".tmp-" + std::to_string(::getpid())) {
  file_ = open_nameless(path_.parent_path(), mode);
  nameless_ = file_ != nullptr;
  if (!nameless_) file_ = open_temporary(temporary_, mode);
  require(file_ != nullptr, ErrorCode::not_found, "cannot write {}: {}", temporary_.string(), std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size())
    fail(ErrorCode::out_of_memory, "cannot write {} after {} bytes: {}", path_.string(), written_, std::strerror(errno));
  written_ += bytes.size();
}

void AtomicFile::overwrite(size_t offset, std::span<const std::byte> bytes) {
  if (std::fflush(file_) != 0 || ::pwrite(::fileno(file_), bytes.data(), bytes.size(), off_t(offset)) != ssize_t(bytes.size()))
    fail(ErrorCode::out_of_memory, "cannot write {} at byte {}: {}", path_.string(), offset, std::strerror(errno));
}

void AtomicFile::commit() {
  const bool flushed = std::fflush(file_) == 0 && ::fsync(::fileno(file_)) == 0 && (!nameless_ || give_name(file_, temporary_));
  const int error = errno;
  const bool closed = std::fclose(file_) == 0;
  file_ = nullptr;
  std::error_code renamed;
  if (flushed && closed) std::filesystem::rename(temporary_, path_, renamed);
  if (!flushed || !closed || renamed) {
    std::error_code ignored;
    std::filesystem::remove(temporary_, ignored);
    fail(ErrorCode::out_of_memory, "cannot finish {}: {}", path_.string(), renamed ? renamed.message() : std::strerror(error));
  }
}

}  // namespace gale
