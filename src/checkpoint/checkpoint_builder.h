#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace gale {

/// Makes Checkpoints, one function per kind of source. Private to this room.
struct CheckpointBuilder {
  using Path = std::filesystem::path;
  using Result = std::shared_ptr<const Checkpoint>;

  static Result from_directory(const Path& directory);
  static Result from_tokenizer(const Path& directory);  ///< a folder with neither config nor weights
  static Result from_gguf(const Path& file);
  /// All shards of the set that `file` is one of; `path` is what the user named.
  static Result from_uqff(const Path& file, const Path& path);
  static Result from_packed(const Path& file);
  /// The same from memory: `bytes` are kept alive by `owner`, the sources are not looked for.
  static Result from_packed(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const Path& path);
  /// `tensors`, read from `files`, come with the config.json, generation_config.json and tokenizer_config.json of `directory`.
  static Result from_parts(const Path& path, const Path& directory, std::vector<RawTensor> tensors, std::vector<Path> files);
  static Result from_parts(const Path& path, const Path& directory, Json config, std::vector<RawTensor> tensors,
                           std::vector<Path> files);
  static Result assemble(const Path& path, Json config, std::vector<RawTensor> tensors);

 private:
  static std::shared_ptr<Checkpoint> start(const Path& path, Json config, std::vector<RawTensor> tensors);
};

}  // namespace gale
