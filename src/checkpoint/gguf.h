#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace gale {

/// A metadata value of a GGUF file. Integers of every width are int64_t (u64 above 2^63 is refused as corrupt), floats double.
using GgufValue = std::variant<bool, int64_t, double, std::string, std::vector<bool>, std::vector<int64_t>, std::vector<double>,
                               std::vector<std::string>>;

/// A GGUF file, v2 or v3, little endian, with all its splits: metadata and tensors under the file's own names.
/// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
class GgufFile {
 public:
  /// Everything is checked against the bytes present before anything is allocated. Throws Error{corrupt} or Error{not_found}
  /// (a missing split names the file looked for), Error{unsupported} for version 1, big-endian and pre-GGUF files and for tensor
  /// types that are unknown. Any split of a set opens the whole set; metadata is that of the first.
  static std::shared_ptr<const GgufFile> open(const std::filesystem::path& path);

  /// One file that lies in memory; its splits, if it names any, are not looked for. `owner` keeps `file` alive, `name` is for
  /// messages.
  static std::shared_ptr<const GgufFile> parse(std::span<const std::byte> file, std::shared_ptr<const void> owner,
                                               std::string_view name);

  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  /// Typed lookups; nullptr where the key is absent, Error{corrupt} where it has another type.
  const std::string* text(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;  ///< float or integer
  std::optional<bool> boolean(std::string_view key) const;
  const std::vector<std::string>* texts(std::string_view key) const;
  const std::vector<int64_t>* integers(std::string_view key) const;
  const std::vector<double>* numbers(std::string_view key) const;
  /// Names as in the file, shapes turned into [out, in] order.
  const std::vector<RawTensor>& tensors() const { return tensors_; }
  int version() const { return version_; }
  /// The files it was read from, splits in order; none for one in memory.
  const std::vector<std::filesystem::path>& files() const { return files_; }
  /// A whole GGUF file with this metadata, byte for byte, and without a tensor.
  std::string without_tensors() const;
  /// The file's name, for messages.
  const std::string& name() const { return name_; }

 private:
  friend class GgufReader;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<RawTensor> tensors_;
  std::string name_;
  int version_ = 3;
  std::vector<std::filesystem::path> files_;
  std::span<const std::byte> entries_;  // the metadata as it lies in the file
  std::shared_ptr<const void> owner_;   // keeps them alive
};

/// Writes GGUF v3, alignment 32, atomically. Tensors are declared first, then their data is streamed in the order declared.
class GgufWriter {
 public:
  /// What a metadata entry is written as: readers of other engines insist on exact widths.
  enum class Width { u32, i32, f32, boolean, string, u64, f32_array, i32_array, u32_array, string_array, boolean_array };
  /// The width the usual keys have, for entries copied from another file: u32 where an integer fits, f32 for floats.
  static Width usual_width(const GgufValue& value);

  explicit GgufWriter(std::filesystem::path path);
  ~GgufWriter();
  /// A later value for the same key replaces the earlier. Throws Error{internal} where the value does not fit the width.
  void set(std::string key, GgufValue value, Width width);
  /// `shape` in [out, in] order. Throws Error{internal} for a type GGUF lacks or a name twice, Error{unsupported} for a name
  /// longer than the 63 bytes that other engines read. No set() or declare() after the first data().
  void declare(std::string name, TensorType type, Shape shape);
  /// Data of the next declared tensor, in any number of pieces; checked to add up.
  void data(std::span<const std::byte> bytes);
  /// Writes the file. Throws Error{internal} when declared data is missing.
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One entry of a file's metadata, as a writer takes it.
struct GgufEntry {
  std::string key;
  GgufValue value;
  GgufWriter::Width width;
};

}  // namespace gale
