#include "hub/partial.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/checked.h"

namespace gale::hub {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kMagic = 0x3153454345495047;  // "GPIECES1"
constexpr int64_t kLeastPiece = int64_t(16) << 20, kMostPieces = 64;

struct Head {
  int64_t magic, size, piece_size;
};

fs::path with(const fs::path& path, const char* end) { return path.string() + end; }

[[noreturn]] void cannot_write(const fs::path& path) {
  const int reason = errno;
  fail(reason == ENOSPC || reason == EDQUOT ? ErrorCode::out_of_memory : ErrorCode::not_found, "cannot write {}: {}{}",
       path.string(), std::strerror(reason), reason == ENOSPC ? "; what is there stays, the next try goes on from it" : "");
}

void write_at(int file, const void* data, size_t size, int64_t at, const fs::path& path) {
  const char* from = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = ::pwrite(file, from, size, off_t(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) cannot_write(path);
    from += n, at += n, size -= size_t(n);
  }
}

int open_file(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (file < 0) cannot_write(path);
  return file;
}

}  // namespace

Partial::Partial(const fs::path& blob, int64_t size)
    : blob_(blob), data_path_(with(blob, ".gale.incomplete")), record_path_(with(blob, ".gale.pieces.incomplete")), size_(size) {
  data_ = open_file(data_path_);
  record_ = open_file(record_path_);
  make_pieces(std::max(kLeastPiece, round_up(ceil_div(size, kMostPieces), int64_t(1) << 20)));
  resumed_ = read_record();
  if (resumed_) return;
  for (Piece& piece : pieces_) piece.done = 0;
  if (::ftruncate(data_, 0) != 0 || ::ftruncate(data_, off_t(size)) != 0) cannot_write(data_path_);
  write_record();
}

Partial::~Partial() {
  if (data_ >= 0) ::close(data_);
  if (record_ >= 0) ::close(record_);
}

void Partial::make_pieces(int64_t piece_size) {
  pieces_.clear();
  for (int64_t at = 0; at < size_; at += std::min(piece_size, size_ - at))
    pieces_.push_back({.begin = at, .end = at + std::min(piece_size, size_ - at)});
}

bool Partial::read_record() {
  struct stat status{};
  Head head{};
  std::vector<int64_t> done(pieces_.size());
  const size_t bytes = done.size() * sizeof(int64_t);
  const bool read = ::fstat(data_, &status) == 0 && status.st_size == size_ && !pieces_.empty() &&
                    ::pread(record_, &head, sizeof head, 0) == ssize_t(sizeof head) &&
                    ::pread(record_, done.data(), bytes, sizeof head) == ssize_t(bytes);
  if (!read || head.magic != kMagic || head.size != size_ || head.piece_size != pieces_[0].end) return false;
  for (size_t i = 0; i < done.size(); ++i) {
    if (done[i] < 0 || done[i] > pieces_[i].end - pieces_[i].begin) return false;
    pieces_[i].done = done[i];
  }
  return this->done() > 0;
}

void Partial::write_record() {
  const Head head{kMagic, size_, pieces_.empty() ? 0 : pieces_[0].end};
  if (::ftruncate(record_, 0) != 0) cannot_write(record_path_);
  write_at(record_, &head, sizeof head, 0, record_path_);
  for (size_t i = 0; i < pieces_.size(); ++i)
    write_at(record_, &pieces_[i].done, sizeof(int64_t), int64_t(sizeof head + i * sizeof(int64_t)), record_path_);
}

int64_t Partial::done() const {
  int64_t sum = 0;
  for (const Piece& piece : pieces_) sum += piece.done;
  return sum;
}

void Partial::write(int64_t at, std::span<const std::byte> bytes) const {
  write_at(data_, bytes.data(), bytes.size(), at, data_path_);
}

void Partial::flush_soon(int64_t at, int64_t bytes) const { ::sync_file_range(data_, at, bytes, SYNC_FILE_RANGE_WRITE); }

void Partial::advance(size_t piece, int64_t bytes) {
  Piece& p = pieces_[piece];
  p.done += bytes;
  write_at(record_, &p.done, sizeof p.done, int64_t(sizeof(Head) + piece * sizeof(int64_t)), record_path_);
}

void Partial::read(int64_t at, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(data_, out.data(), out.size(), off_t(at));
    if (n < 0 && errno == EINTR) continue;
    require(n > 0, ErrorCode::corrupt, "cannot read {} at byte {}: {}", data_path_.string(), at,
            n == 0 ? "it was cut short" : std::strerror(errno));
    out = out.subspan(size_t(n));
    at += n;
  }
}

void Partial::restart_whole() {
  make_pieces(std::max<int64_t>(size_, 1));
  write_record();
}

void Partial::commit() {
  if (::fsync(data_) != 0 || ::rename(data_path_.c_str(), blob_.c_str()) != 0) cannot_write(blob_);
  std::error_code ignored;
  fs::remove(record_path_, ignored);
}

void Partial::remove() {
  std::error_code ignored;
  fs::remove(data_path_, ignored);
  fs::remove(record_path_, ignored);
}

int64_t Partial::left_of(const fs::path& blob, int64_t size) {
  struct stat status{};
  if (::stat(with(blob, ".gale.incomplete").c_str(), &status) != 0) return 0;
  return std::min<int64_t>(size, int64_t(status.st_blocks) * 512);
}

}  // namespace gale::hub
