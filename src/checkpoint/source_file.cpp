#include "checkpoint/source_file.h"

#include <algorithm>

#include "base/fail.h"
#include "base/mmap.h"
#include "checkpoint/hash.h"

namespace gale {
namespace {

constexpr size_t kEnd = size_t(64) << 10, kPage = 4096, kPages = 256, kWhole = size_t(2) << 20;

uint64_t sample_of(std::span<const std::byte> file) {
  if (file.size() <= kWhole) return hash_bytes(file);
  RunningHash hash;
  hash.add(file.first(kEnd));
  const size_t step = file.size() / kPages;
  for (size_t i = 0; i < kPages; ++i) hash.add(file.subspan(i * step / kPage * kPage, kPage));
  hash.add(file.last(kEnd));
  return hash.value();
}

int64_t modified_of(const std::filesystem::path& path) {
  std::error_code error;
  const auto time = std::filesystem::last_write_time(path, error);
  require(!error, ErrorCode::not_found, "cannot look at {}: {}", path.string(), error.message());
  return int64_t(time.time_since_epoch().count());
}

}  // namespace

SourceFile fingerprint(const std::filesystem::path& path) {
  SourceFile out{.path = std::filesystem::absolute(path).lexically_normal()};
  out.modified = modified_of(path);  // before its content: a write in between shows as a later time
  const auto file = MappedFile::open(path);
  out.bytes = int64_t(file->bytes().size());
  out.sample = sample_of(file->bytes());
  out.hash = hash_bytes(file->bytes());
  return out;
}

std::string changes_of(const SourceFile& before, const std::filesystem::path& path, bool thorough) {
  const int64_t modified = modified_of(path);
  const auto file = MappedFile::open(path);
  const int64_t bytes = int64_t(file->bytes().size());
  if (bytes != before.bytes) return fmt::format("its size is {} bytes and was {}", bytes, before.bytes);
  if (sample_of(file->bytes()) != before.sample) return "its content is another";
  if ((thorough || modified != before.modified) && hash_bytes(file->bytes()) != before.hash) return "its content is another";
  return "";
}

}  // namespace gale
