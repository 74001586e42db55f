#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/keyed_hash.h"
#include "kvcache/block_file.h"

namespace gale {

/// What a session's file says before its blocks:
///
///   header   256 bytes: magic, version, sizes, key, model, cache, hash of text and header
///   text     tokens i32, who made it, note
///   blocks   records as BlockStore's files have them (block_file.h), to the end of the file
///
/// Names are made with a key of the file's own: nobody can see from it what else was in the cache.
struct SessionHead {
  KeyedHash::Key key{};
  Digest256 model;  ///< under `key`: the weights and the type of the cache; see CacheIdentity
  Digest256 cache;  ///< and everything else that keys and values depend on
  std::vector<int32_t> tokens;
  std::string made_by;  ///< what a person would call `model`
  std::string note;     ///< the caller's own
};

/// A file as it lies in memory.
struct SessionFile {
  SessionHead head;
  std::vector<BlockRecord> blocks;  ///< point into the file
  std::string damage;               ///< why blocks after these are not to be had, "" where there are no more
};
/// Throws Error{corrupt} where the text is damaged, Error{unsupported} for another version. Blocks are taken as far as they are
/// whole. `where` is for messages.
SessionFile parse_session(std::span<const std::byte> file, std::string_view where);

/// Writes one, readable by its owner only, that appears whole or not at all. Throws Error{out_of_memory} where the disk is full.
class SessionWriter {
 public:
  SessionWriter(std::filesystem::path path, const SessionHead& head);
  void block(const BlockRecord& record);
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
};

}  // namespace gale
