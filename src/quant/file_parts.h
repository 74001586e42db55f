#pragma once
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/half.h"
#include "quant/format.h"
#include "quant/made_blocks.h"

namespace gale {

/// A tensor of a weight as a safetensors file holds it, without bytes where only its size is asked for.
struct FilePart {
  std::string suffix;  ///< after the weight's name and a dot
  TensorType type;
  Shape shape;
  std::vector<std::byte> bytes;
};

/// A matrix of the model that is not in the format that its config is for.
struct FileModule {
  std::string name;
  const Format* made;  ///< of the same form, but other bits; nullptr: plain floats
};

/// A matrix that is made of values, on its way into the form that some project's files have.
struct MadeMatrix {
  const Format& format;
  int64_t rows, columns;
  const Layout layout;          ///< format's
  const LogicalGroups* groups;  ///< of all rows and columns; nullptr: the parts' types and shapes are asked for

  int bits() const { return format.file_bits; }
  int64_t across() const { return columns / layout.block; }  ///< scales of a row
  const uint8_t* codes(int64_t row) const { return groups->codes.data() + row * columns; }
  float top(int64_t row, int64_t block) const { return groups->top[size_t(row * across() + block)]; }
  float top_min(int64_t row, int64_t block) const { return groups->top_min[size_t(row * across() + block)]; }
};

namespace file_parts {

/// The parts in the order in which they are added. Only where there are groups `fill` gets zeros to write on.
class Parts {
 public:
  explicit Parts(const MadeMatrix& made) : filled_(made.groups != nullptr) {}
  template <class Fill>
  void add(std::string suffix, TensorType type, const Shape& shape, Fill&& fill) {
    FilePart& part = all_.emplace_back(FilePart{std::move(suffix), type, shape, {}});
    if (!filled_) return;
    part.bytes.resize(size_t(shape.elements() * tensor_type_info(type).bytes));
    fill(part.bytes.data());
  }
  /// A part of so many whole numbers or characters, the same in every weight of this shape.
  template <class T>
  void constant(std::string suffix, TensorType type, const Shape& shape, std::span<const T> values) {
    add(std::move(suffix), type, shape, [&](std::byte* to) { std::memcpy(to, values.data(), values.size_bytes()); });
  }
  template <class T>
  void number(std::string suffix, TensorType type, T value) {
    constant<T>(std::move(suffix), type, {}, {&value, 1});
  }
  void text(std::string suffix, std::string_view text) {
    constant<char>(std::move(suffix), TensorType::u8, {int64_t(text.size())}, text);
  }
  std::vector<FilePart> take() { return std::move(all_); }

 private:
  bool filled_;
  std::vector<FilePart> all_;
};

/// Names of plain modules, as lists of what is left alone have them.
Json names_of(std::span<const FileModule> others);

inline void store_f16(std::byte* to, int64_t i, float v) { blocks::store_u16(to + 2 * i, f32_to_f16(v)); }
inline void store_f32(std::byte* to, int64_t i, float v) { std::memcpy(to + 4 * i, &v, 4); }

}  // namespace file_parts
}  // namespace gale
