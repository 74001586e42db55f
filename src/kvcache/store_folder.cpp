#include "kvcache/store_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>

#include "base/checked.h"

namespace gale {
namespace {

constexpr const char* kKeyFile = "key";
constexpr std::string_view kBegun = ".begun-";  // what a file is called until it is whole
constexpr int64_t kLeftBehind = 60;             // seconds after which whoever began a file is not at it any more
constexpr int64_t kDiskBlock = 4096;
constexpr mode_t kOwnFolder = 0700, kOwnFile = 0600;

struct OpenFile {
  explicit OpenFile(int descriptor) : fd(descriptor) {}
  ~OpenFile() {
    if (fd >= 0) ::close(fd);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  const int fd;
};

std::string begun_file() {
  static std::atomic<uint64_t> count{0};
  return fmt::format("{}{}-{}", kBegun, ::getpid(), count++);
}

bool write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(size_t(n));
  }
  return true;
}

bool read_all(int fd, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::read(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(size_t(n));
  }
  return true;
}

std::array<timespec, 2> both_times(int64_t used) {
  const timespec time{.tv_sec = time_t(used / 1'000'000'000), .tv_nsec = long(used % 1'000'000'000)};
  return {time, time};
}

int64_t nanoseconds(const timespec& time) { return int64_t(time.tv_sec) * 1'000'000'000 + time.tv_nsec; }

// What BlockId::file() says, back.
std::optional<BlockId> parse_file(std::string_view name) {
  constexpr size_t kDigits = 64;
  BlockId out;
  const auto number = [](std::string_view text, auto& value, int base) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return error == std::errc() && end == text.data() + text.size();
  };
  if (name.size() < kDigits + 2 || !number(name.substr(kDigits + 1), out.pool, 10)) return std::nullopt;
  for (size_t i = 0; i < out.digest.words.size(); ++i)
    if (!number(name.substr(i * 16, 16), out.digest.words[i], 16)) return std::nullopt;
  if (out.file() != name) return std::nullopt;
  return out;
}

}  // namespace

std::string BlockId::file() const {
  const auto& w = digest.words;
  return fmt::format("{:016x}{:016x}{:016x}{:016x}-{}", w[0], w[1], w[2], w[3], pool);
}

StoreFolder::StoreFolder(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code ignored;
  if (path_.has_parent_path()) std::filesystem::create_directories(path_.parent_path(), ignored);
  ::mkdir(path_.c_str(), kOwnFolder);
  folder_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  require(folder_ >= 0, ErrorCode::not_found, "cannot keep blocks in {}: {}", path_.string(), std::strerror(errno));
  try {
    struct stat info{};
    require(::fstat(folder_, &info) == 0, ErrorCode::not_found, "cannot look at {}: {}", path_.string(), std::strerror(errno));
    require((info.st_mode & (S_IWGRP | S_IWOTH)) == 0, ErrorCode::invalid_argument,
            "others may write to {}, and what they put there would be taken for what texts are made of; chmod 700 it, or name "
            "another folder",
            path_.string());
    key_ = open_key();
  } catch (...) {
    ::close(folder_);
    throw;
  }
}

StoreFolder::~StoreFolder() { ::close(folder_); }

// Whoever comes first makes it; from then on it is everybody's.
KeyedHash::Key StoreFolder::open_key() const {
  KeyedHash::Key key;
  const auto read = [&] {
    const OpenFile file(::openat(folder_, kKeyFile, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat info{};
    const bool there = file.fd >= 0 || errno != ENOENT;
    const bool whole =
        file.fd >= 0 && ::fstat(file.fd, &info) == 0 && info.st_size == off_t(key.size()) && read_all(file.fd, key);
    if (there && !whole) ::unlinkat(folder_, kKeyFile, 0);  // damaged: what it named is lost
    return whole;
  };
  if (read()) return key;
  const KeyedHash::Key made = KeyedHash::random_key();
  const std::string begun = begun_file();
  const OpenFile file(::openat(folder_, begun.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOwnFile));
  const bool whole = file.fd >= 0 && write_all(file.fd, made) && ::fsync(file.fd) == 0 &&
                     (::linkat(folder_, begun.c_str(), folder_, kKeyFile, 0) == 0 || errno == EEXIST ||
                      ::renameat(folder_, begun.c_str(), folder_, kKeyFile) == 0);  // where files have one name only
  const int error = errno;
  ::unlinkat(folder_, begun.c_str(), 0);
  require(whole && read(), ErrorCode::not_found, "cannot write to {}: {}", path_.string(), std::strerror(error));
  return key;
}

int64_t StoreFolder::disk_bytes(int64_t size) { return round_up(size, kDiskBlock); }

std::vector<StoreFolder::File> StoreFolder::list() const {
  std::vector<File> out;
  const int again = ::openat(folder_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const auto close = [](DIR* dir) { ::closedir(dir); };
  const std::unique_ptr<DIR, decltype(close)> dir(again < 0 ? nullptr : ::fdopendir(again), close);
  if (!dir) return out;
  while (const dirent* entry = ::readdir(dir.get())) {
    const auto id = parse_file(entry->d_name);
    const bool begun = std::string_view(entry->d_name).starts_with(kBegun);
    struct stat info{};
    if ((!id && !begun) || ::fstatat(folder_, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode)) continue;
    if (id)
      out.push_back({*id, disk_bytes(info.st_size), nanoseconds(info.st_mtim)});
    else if (::time(nullptr) - info.st_mtim.tv_sec > kLeftBehind)
      ::unlinkat(folder_, entry->d_name, 0);
  }
  return out;
}

StoreFolder::Found StoreFolder::read(const BlockId& id, std::span<std::byte> all) const {
  const OpenFile file(::openat(folder_, id.file().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.fd < 0) return errno == ENOENT ? Found::no : Found::damaged;
  struct stat info{};
  if (::fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode) || uint64_t(info.st_size) != all.size()) return Found::damaged;
  return read_all(file.fd, all) ? Found::yes : Found::damaged;
}

void StoreFolder::write(const BlockId& id, std::span<const std::byte> header, std::span<const std::byte> payload,
                        int64_t used) const {
  const std::string begun = begun_file();
  const OpenFile file(::openat(folder_, begun.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOwnFile));
  const bool whole = file.fd >= 0 && write_all(file.fd, header) && write_all(file.fd, payload) &&
                     ::futimens(file.fd, both_times(used).data()) == 0 &&
                     ::renameat(folder_, begun.c_str(), folder_, id.file().c_str()) == 0;
  if (whole) return;
  const int error = errno;
  ::unlinkat(folder_, begun.c_str(), 0);
  fail(ErrorCode::out_of_memory, "cannot write to {}: {}", path_.string(), std::strerror(error));
}

void StoreFolder::touch(const BlockId& id, int64_t used) const noexcept {
  ::utimensat(folder_, id.file().c_str(), both_times(used).data(), AT_SYMLINK_NOFOLLOW);
}

void StoreFolder::remove(const BlockId& id) const noexcept { ::unlinkat(folder_, id.file().c_str(), 0); }

}  // namespace gale
