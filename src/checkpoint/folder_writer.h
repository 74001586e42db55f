#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "checkpoint/checkpoint.h"

namespace gale {

/// Writes a model as a folder of safetensors and small files, which appears whole or not at all: everything is in files without
/// names until commit(). Tensors are declared, then written in any order and in any pieces.
class FolderWriter {
 public:
  static constexpr int64_t kShardBytes = 5'000'000'000;  // of tensors; what save_pretrained of transformers has been taking

  /// Throws Error{invalid_argument} where something is at `path` already that is no empty folder.
  explicit FolderWriter(std::filesystem::path path, int64_t shard_bytes = kShardBytes);
  ~FolderWriter();

  /// Before the first write(). Throws Error{internal} for a name that is declared twice.
  void declare(const std::string& name, TensorType type, const Shape& shape);
  int64_t declared_bytes() const { return bytes_; }
  /// Bytes of the tensor from `offset` on.
  void write(const std::string& name, int64_t offset, std::span<const std::byte> bytes);
  /// A file beside the tensors.
  void text(const std::string& file, std::string_view text);
  void copy(const std::filesystem::path& from);
  /// `metadata`: what files say they are for, "pt" or "mlx". Throws Error{internal} where a tensor was not written.
  void commit();

  std::string metadata = "pt";

 private:
  struct Tensor {
    TensorType type;
    Shape shape;
    size_t shard = 0;
    int64_t at = 0, bytes = 0, written = 0;  // at: from the start of the shard's data
  };
  struct Shard {
    std::unique_ptr<AtomicFile> file;
    int64_t data = 0;  // where it starts
  };
  AtomicFile& add(const std::string& name);
  void lay_out();
  std::string shard_name(size_t shard) const;
  void write_index();

  const std::filesystem::path path_;
  const int64_t shard_bytes_;
  std::vector<std::string> order_;  // as declared
  std::map<std::string, Tensor, std::less<>> tensors_;
  std::vector<Shard> shards_;
  std::vector<std::pair<std::string, std::unique_ptr<AtomicFile>>> others_;
  int64_t bytes_ = 0;
};

}  // namespace gale
