#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/source_file.h"

namespace gale {

/// A packed file holds a model whose matrices lie in it as kernels read them, so that opening it is an mmap. docs/why/packed.md
/// has the format:
///
///   preamble   64 bytes: magic, version, where the index is, size of the file, hashes of the index and of the preamble
///   blobs      tensors and texts, each from a multiple of 64 bytes on
///   index      JSON: config, fingerprints of the sources and of the arrangement, and a line per tensor
///
/// The index comes last, so that a file is written in one pass.

/// What a packed file says of itself.
struct PackedInfo {
  std::string model;                        ///< what it was packed from, as the user named it
  std::string type;                         ///< --type then, "" for the model's own
  std::vector<SourceFile> sources;          ///< none for a model made in memory
  std::map<std::string, uint64_t> layouts;  ///< hash of each arrangement by the name of its layout, see nn/arrangement.h
  std::vector<uint64_t> hashes;             ///< of each tensor's bytes, in the order of Checkpoint::tensors()
  std::map<std::string, std::string_view, std::less<>> texts;  ///< "tokenizer.json", "chat_template.jinja", "metadata.gguf"
  std::shared_ptr<const void> owner;                           ///< keeps the texts alive

  std::optional<std::string> text(std::string_view name) const;
};

struct PackedContents {
  PackedInfo info;
  Json config, generation_config, tokenizer_config;
  std::string config_source;
  std::vector<RawTensor> tensors;
};

/// Reads a packed file that lies in memory. Everything is checked against the bytes present; of the tensors' bytes none is read,
/// texts are compared with their hashes.
/// `owner` keeps `file` alive, `name` is for messages. Throws Error{corrupt} for one that is cut short or damaged,
/// Error{unsupported} for one of another version or for other kernels.
PackedContents parse_packed(std::span<const std::byte> file, std::shared_ptr<const void> owner, std::string_view name);

/// Throws Error{corrupt} where a file that the model was packed from has changed since. Sources are looked for where they were
/// then, and, where none is there, beside the packed file if that has all of them; what is nowhere, or may not be read, is not
/// checked.
void check_sources(const PackedInfo& info, const std::filesystem::path& packed, bool thorough);
/// Reads everything: throws Error{corrupt} where a tensor's bytes are not what was written, or check_sources() finds a change.
void verify_packed(const Checkpoint& checkpoint);

/// Writes a packed file, which appears whole or not at all.
class PackedWriter {
 public:
  static constexpr size_t kAlignment = 64;

  /// `large`: the first tensor starts on a huge page.
  PackedWriter(std::filesystem::path path, bool large);
  /// `layout`: as in RawTensor. Throws Error{out_of_memory} where the disk is full.
  void tensor(const std::string& name, TensorType type, const Shape& shape, const std::string& layout,
              std::span<const std::byte> bytes);
  void text(const std::string& name, std::string_view text);
  bool has(const std::string& name) const { return names_.contains(name); }
  /// `info`: model, type, sources and layouts. Config and the like are `source`'s.
  void commit(const PackedInfo& info, const Checkpoint& source);

 private:
  void pad();
  AtomicFile file_;
  std::set<std::string> names_;
  Json tensors_, texts_;
};

/// The 64 bytes before everything else, for an index in `index_bytes` bytes at the end of a file of `file_bytes` bytes.
std::vector<std::byte> packed_preamble(std::span<const std::byte> index, uint64_t file_bytes);

}  // namespace gale
