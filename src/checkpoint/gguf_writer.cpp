#include <cstring>
#include <set>

#include "base/checked.h"
#include "base/file.h"
#include "checkpoint/gguf.h"

namespace gale {
namespace {

constexpr int64_t kAlignment = 32;
constexpr size_t kMaxTensorName = 63;  // ggml's GGML_MAX_NAME less its terminator

struct Declared {
  std::string name;
  TensorType type;
  Shape shape;
  int64_t bytes, offset;
};

/// The header under construction.
class Header {
 public:
  template <class T>
  void number(T value) {
    const size_t at = text_.size();
    text_.resize(at + sizeof(T));
    std::memcpy(text_.data() + at, &value, sizeof(T));
  }
  void string(std::string_view text) {
    number(uint64_t(text.size()));
    text_ += text;
  }
  /// The id of an array's element type, its length and its elements, each through `each`.
  template <class Values, class Each>
  void array(uint32_t type, const Values& values, Each&& each) {
    number(type);
    number(uint64_t(values.size()));
    for (const auto& value : values) each(value);
  }
  std::string& text() { return text_; }

 private:
  std::string text_;
};

enum ValueType : uint32_t { kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9, kU64 = 10 };

template <class T>
T narrow(int64_t value, std::string_view key) {
  require(std::in_range<T>(value), ErrorCode::internal, "GGUF key '{}': {} does not fit its width", key, value);
  return T(value);
}

template <class T>
const T& held(const GgufEntry& entry) {
  const T* value = std::get_if<T>(&entry.value);
  require(value != nullptr, ErrorCode::internal, "GGUF key '{}': the value's kind does not match its width", entry.key);
  return *value;
}

void write_value(Header& out, const GgufEntry& entry) {
  using Width = GgufWriter::Width;
  const auto floats = [&](double value) { out.number(float(value)); };
  const auto start = [&](ValueType type) { out.number(uint32_t(type)); };
  switch (entry.width) {
    case Width::u32:
      return start(kU32), out.number(narrow<uint32_t>(held<int64_t>(entry), entry.key));
    case Width::i32:
      return start(kI32), out.number(narrow<int32_t>(held<int64_t>(entry), entry.key));
    case Width::u64:
      return start(kU64), out.number(narrow<uint64_t>(held<int64_t>(entry), entry.key));
    case Width::f32:
      return start(kF32), floats(held<double>(entry));
    case Width::boolean:
      return start(kBool), out.number(uint8_t(held<bool>(entry)));
    case Width::string:
      return start(kString), out.string(held<std::string>(entry));
    case Width::f32_array:
      return start(kArray), out.array(kF32, held<std::vector<double>>(entry), floats);
    case Width::i32_array:
      start(kArray);
      return out.array(kI32, held<std::vector<int64_t>>(entry), [&](int64_t v) { out.number(narrow<int32_t>(v, entry.key)); });
    case Width::u32_array:
      start(kArray);
      return out.array(kU32, held<std::vector<int64_t>>(entry), [&](int64_t v) { out.number(narrow<uint32_t>(v, entry.key)); });
    case Width::string_array:
      start(kArray);
      return out.array(kString, held<std::vector<std::string>>(entry), [&](const std::string& v) { out.string(v); });
    case Width::boolean_array:
      start(kArray);
      return out.array(kBool, held<std::vector<bool>>(entry), [&](bool v) { out.number(uint8_t(v)); });
  }
}

}  // namespace

struct GgufWriter::Impl {
  explicit Impl(std::filesystem::path path) : file(std::move(path)) {}
  AtomicFile file;
  std::vector<GgufEntry> metadata;
  std::vector<Declared> tensors;
  std::set<std::string, std::less<>> names;
  int64_t end = 0;      // of the data declared so far, padded
  size_t current = 0;   // the tensor being written
  int64_t written = 0;  // of its bytes
  bool open = false;    // the header is out

  void pad() {
    static constexpr std::byte kZeros[kAlignment] = {};
    const size_t at = file.written();
    file.write(std::span(kZeros).first(size_t(round_up(int64_t(at), kAlignment)) - at));
  }

  void write_header() {
    Header out;
    out.text() = "GGUF";
    out.number(uint32_t(3));
    out.number(uint64_t(tensors.size()));
    out.number(uint64_t(metadata.size()));
    for (const GgufEntry& entry : metadata) {
      out.string(entry.key);
      write_value(out, entry);
    }
    for (const Declared& tensor : tensors) {
      out.string(tensor.name);
      out.number(uint32_t(tensor.shape.rank()));
      for (int i = tensor.shape.rank(); i-- > 0;) out.number(uint64_t(tensor.shape[i]));
      out.number(uint32_t(tensor_type_info(tensor.type).ggml));
      out.number(uint64_t(tensor.offset));
    }
    file.write(out.text());
    if (!tensors.empty()) pad();
    open = true;
  }
};

GgufWriter::GgufWriter(std::filesystem::path path) : impl_(std::make_unique<Impl>(std::move(path))) {}
GgufWriter::~GgufWriter() = default;

GgufWriter::Width GgufWriter::usual_width(const GgufValue& value) {
  if (const int64_t* number = std::get_if<int64_t>(&value))
    return std::in_range<uint32_t>(*number) ? Width::u32 : std::in_range<int32_t>(*number) ? Width::i32 : Width::u64;
  constexpr Width kWidths[] = {Width::boolean,       Width::u32,       Width::f32,       Width::string,
                               Width::boolean_array, Width::i32_array, Width::f32_array, Width::string_array};
  return kWidths[value.index()];
}

void GgufWriter::set(std::string key, GgufValue value, Width width) {
  require(!impl_->open && !key.empty(), ErrorCode::internal, "GGUF key '{}' is empty or set after the first data", key);
  for (GgufEntry& entry : impl_->metadata)
    if (entry.key == key) {
      entry = {std::move(key), std::move(value), width};
      return;
    }
  impl_->metadata.push_back({std::move(key), std::move(value), width});
}

void GgufWriter::declare(std::string name, TensorType type, Shape shape) {
  require(!impl_->open, ErrorCode::internal, "GGUF tensor {} is declared after the first data", name);
  require(!name.empty() && name.size() <= kMaxTensorName, ErrorCode::unsupported,
          "GGUF tensor name '{}' has {} bytes; other engines read 1 to {}", name, name.size(), kMaxTensorName);
  require(tensor_type_info(type).ggml >= 0, ErrorCode::internal, "{}: GGUF has no type {}", name, tensor_type_info(type).name);
  const int64_t columns = shape.rank() == 0 ? 1 : shape[-1];
  require(shape.elements() > 0, ErrorCode::internal, "{}: GGUF cannot hold a tensor of shape {}", name, shape.text());
  const int64_t bytes = checked_mul(row_bytes(type, columns, name), shape.elements() / columns, name);
  require(impl_->names.insert(name).second, ErrorCode::internal, "GGUF tensor {} is declared twice", name);
  const int64_t offset = impl_->end;
  impl_->end = round_up(checked_add(offset, bytes, name), kAlignment);
  impl_->tensors.push_back({std::move(name), type, shape, bytes, offset});
}

void GgufWriter::data(std::span<const std::byte> bytes) {
  if (!impl_->open) impl_->write_header();
  require(impl_->current < impl_->tensors.size(), ErrorCode::internal, "GGUF data after the last declared tensor");
  const Declared& tensor = impl_->tensors[impl_->current];
  require(int64_t(bytes.size()) <= tensor.bytes - impl_->written, ErrorCode::internal, "{}: {} bytes of data, {} were declared",
          tensor.name, impl_->written + int64_t(bytes.size()), tensor.bytes);
  impl_->file.write(bytes);
  impl_->written += int64_t(bytes.size());
  if (impl_->written < tensor.bytes) return;
  impl_->pad();
  impl_->written = 0;
  ++impl_->current;
}

void GgufWriter::commit() {
  if (!impl_->open) impl_->write_header();
  require(impl_->current == impl_->tensors.size(), ErrorCode::internal, "GGUF data ends inside tensor {} ({} of {})",
          impl_->current < impl_->tensors.size() ? impl_->tensors[impl_->current].name : "", impl_->current,
          impl_->tensors.size());
  impl_->file.commit();
}

}  // namespace gale
