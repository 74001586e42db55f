#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace gale {

/// A file mapped read-only. Shared: tensors that point into it keep it alive. Safe to read from any thread.
/// The mapping is private, so a file that is overwritten in place by another program may change under the reader or fault when
/// cut short; Gale's own writers replace files atomically.
class MappedFile {
 public:
  /// Throws Error{not_found} where the path does not exist or is no regular file, with the reason of the system.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// Maps the pages of some of its bytes now, reading what is not in memory, so that nobody waits for them later. Helps where
  /// several threads each take a part; where the system does not know how, nothing happens.
  static void prefault(std::span<const std::byte> bytes);

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, size_t size) : path_(std::move(path)), data_(data), size_(size) {}
  std::filesystem::path path_;
  const std::byte* data_;
  size_t size_;
};

}  // namespace gale
