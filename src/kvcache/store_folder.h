#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/keyed_hash.h"

namespace gale {

/// A block's place in a folder: what made it and what it holds, in one number that nobody without the key can foretell.
struct BlockId {
  Digest256 digest;
  int32_t pool = 0;
  bool operator==(const BlockId&) const = default;
  /// The name of its file: 64 hexadecimal digits, a dash, the pool.
  std::string file() const;
};

/// The files of a BlockStore, one a block, in a folder that several processes may use at once: a file appears whole or not at all
/// and never changes, and what is not named like one is nobody's business here. Readable by their owner only: they are made of
/// what users wrote. May be used from any thread; every call waits for the disk.
class StoreFolder {
 public:
  /// Makes the folder where there is none. Throws Error{not_found} where that cannot be, Error{invalid_argument} where others may
  /// write to it.
  explicit StoreFolder(std::filesystem::path path);
  ~StoreFolder();
  StoreFolder(const StoreFolder&) = delete;
  StoreFolder& operator=(const StoreFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The key of all names in it, the same for every process: made by the first.
  const KeyedHash::Key& key() const { return key_; }

  struct File {
    BlockId id;
    int64_t bytes = 0;  ///< that it takes of the disk
    int64_t used = 0;   ///< when it was written or last read, in nanoseconds since 1970
  };
  /// Every block's. Removes what writers that were killed have left half done.
  std::vector<File> list() const;
  /// Bytes that a file of that size takes of the disk.
  static int64_t disk_bytes(int64_t size);

  enum class Found { yes, no, damaged };  ///< `damaged`: it has another size, or the disk does not give it
  Found read(const BlockId& id, std::span<std::byte> all) const;
  /// Throws Error{out_of_memory} where the disk is full or does not take it.
  void write(const BlockId& id, std::span<const std::byte> header, std::span<const std::byte> payload, int64_t used) const;
  void touch(const BlockId& id, int64_t used) const noexcept;
  void remove(const BlockId& id) const noexcept;

 private:
  KeyedHash::Key open_key() const;
  std::filesystem::path path_;
  int folder_ = -1;
  KeyedHash::Key key_{};
};

}  // namespace gale
