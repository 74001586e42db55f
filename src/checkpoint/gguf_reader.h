#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/gguf.h"

namespace gale {

/// Reads one GGUF file from memory, front to back. Private to this room: callers use GgufFile.
/// Nothing is allocated for a count or a length before it is known to fit into the bytes left.
class GgufReader {
 public:
  GgufReader(std::span<const std::byte> file, std::shared_ptr<const void> owner, std::string_view name)
      : file_(file), owner_(std::move(owner)), name_(name) {}
  std::shared_ptr<GgufFile> read();

 private:
  /// A tensor's place, before the start of the data is known.
  struct Place {
    int64_t offset = 0, size = 0;
  };

  size_t left() const { return file_.size() - at_; }
  template <class T>
  T take(std::string_view what);
  int64_t take_count(std::string_view what, size_t least_bytes);
  std::string take_string(std::string_view what);
  std::string take_name(std::string_view what, size_t longest);
  void check_version();
  GgufValue take_value(uint32_t type, std::string_view key);
  GgufValue take_array(std::string_view key);
  template <class From, class To>
  std::vector<To> take_elements(int64_t count, std::string_view key);
  void read_metadata(int64_t count);
  Place read_tensor();
  int64_t alignment() const;
  void place_tensors(const std::vector<Place>& places);
  void check_overlaps(const std::vector<Place>& places) const;

  std::span<const std::byte> file_;
  std::shared_ptr<const void> owner_;
  std::string name_;
  size_t at_ = 0;
  std::shared_ptr<GgufFile> out_;
};

}  // namespace gale
