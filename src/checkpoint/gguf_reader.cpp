#include "checkpoint/gguf_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>

#include "base/checked.h"

namespace gale {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read by copying little-endian numbers");

enum ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

constexpr uint32_t kMagic = 0x46554747;               // "GGUF"
constexpr int64_t kMaxArray = int64_t(1) << 27;       // elements; the largest vocabularies have some 10^5
constexpr uint64_t kMaxString = uint64_t(INT32_MAX);  // what every reader of the format can index
constexpr size_t kMaxKey = 65535, kMaxTensorName = 1024;
constexpr int64_t kMaxAlignment = int64_t(1) << 24;
constexpr size_t kLeastEntry = 8 + 1 + 4 + 1;       // key length, key, type, value
constexpr size_t kLeastTensor = 8 + 1 + 4 + 4 + 8;  // name length, name, dimension count, type, offset

}  // namespace

template <class T>
T GgufReader::take(std::string_view what) {
  require(left() >= sizeof(T), ErrorCode::corrupt, "{}: ends at byte {} inside {}; it is cut short, download it again", name_,
          file_.size(), what);
  T value;
  std::memcpy(&value, file_.data() + at_, sizeof(T));
  at_ += sizeof(T);
  return value;
}

/// A count of things that take at least `least_bytes` each.
int64_t GgufReader::take_count(std::string_view what, size_t least_bytes) {
  const uint64_t count = take<uint64_t>(what);
  require(count <= left() / least_bytes, ErrorCode::corrupt, "{}: {} is {}, but {} bytes are left; it is cut short or damaged",
          name_, what, count, left());
  return int64_t(count);
}

std::string GgufReader::take_string(std::string_view what) {
  const uint64_t size = take<uint64_t>(what);
  require(size <= left() && size <= kMaxString, ErrorCode::corrupt,
          "{}: {} is a string of {} bytes, but {} bytes are left and {} allowed; the file is cut short or damaged", name_, what,
          size, left(), kMaxString);
  std::string text(reinterpret_cast<const char*>(file_.data()) + at_, size);
  at_ += size;
  return text;
}

/// A key or a tensor's name: printable ASCII, so that it can stand in messages and JSON.
std::string GgufReader::take_name(std::string_view what, size_t longest) {
  std::string text = take_string(what);
  require(!text.empty() && text.size() <= longest, ErrorCode::corrupt, "{}: {} has {} bytes, allowed are 1 to {}", name_, what,
          text.size(), longest);
  require(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }), ErrorCode::corrupt,
          "{}: {} before byte {} is not printable ASCII", name_, what, at_);
  return text;
}

void GgufReader::check_version() {
  const uint32_t magic = take<uint32_t>("the magic number");
  if (magic != kMagic) {
    // Before GGUF (August 2023): "ggml", "ggmf", "ggjt", "ggla" as little-endian numbers.
    const bool older = magic == 0x67676d6c || magic == 0x67676d66 || magic == 0x67676a74 || magic == 0x67676c61;
    require(!older, ErrorCode::unsupported, "{}: a GGML file from before August 2023; convert the original model to GGUF", name_);
    fail(ErrorCode::corrupt, "{}: begins with {:#010x} instead of GGUF; it is another kind of file or a failed download", name_,
         magic);
  }
  const uint32_t version = take<uint32_t>("the version");
  require(version == 0 || (version & 0xffff) != 0, ErrorCode::unsupported,
          "{}: a big-endian file (version {}); convert it with gguf-py's gguf_convert_endian.py", name_,
          __builtin_bswap32(version));
  require(version != 1, ErrorCode::unsupported, "{}: GGUF version 1 (before October 2023) is not read; convert the model again",
          name_);
  require(version == 2 || version == 3, version == 0 ? ErrorCode::corrupt : ErrorCode::unsupported,
          "{}: GGUF version {} is unknown; known are 2 and 3", name_, version);
  out_->version_ = int(version);
}

template <class From, class To>
std::vector<To> GgufReader::take_elements(int64_t count, std::string_view key) {
  require(size_t(count) <= left() / sizeof(From), ErrorCode::corrupt,
          "{}: key '{}' is an array of {} elements, but {} bytes are left", name_, key, count, left());
  std::vector<To> out(static_cast<size_t>(count));
  for (size_t i = 0; i < out.size(); ++i) {
    From value;
    std::memcpy(&value, file_.data() + at_ + i * sizeof(From), sizeof(From));
    if constexpr (std::is_same_v<From, uint64_t>)
      require(value <= uint64_t(INT64_MAX), ErrorCode::corrupt, "{}: key '{}' holds {}, above 2^63-1", name_, key, value);
    if constexpr (std::is_same_v<To, bool>)
      require(value <= 1, ErrorCode::corrupt, "{}: key '{}' holds {} where a bool is 0 or 1", name_, key, value);
    out[i] = To(value);
  }
  at_ += out.size() * sizeof(From);
  return out;
}

GgufValue GgufReader::take_array(std::string_view key) {
  const uint32_t type = take<uint32_t>(key);
  const uint64_t count = take<uint64_t>(key);
  require(count <= uint64_t(kMaxArray), ErrorCode::corrupt, "{}: key '{}' is an array of {} elements, allowed are {}", name_, key,
          count, kMaxArray);
  const int64_t n = int64_t(count);
  switch (type) {
    case kU8:
      return take_elements<uint8_t, int64_t>(n, key);
    case kI8:
      return take_elements<int8_t, int64_t>(n, key);
    case kU16:
      return take_elements<uint16_t, int64_t>(n, key);
    case kI16:
      return take_elements<int16_t, int64_t>(n, key);
    case kU32:
      return take_elements<uint32_t, int64_t>(n, key);
    case kI32:
      return take_elements<int32_t, int64_t>(n, key);
    case kU64:
      return take_elements<uint64_t, int64_t>(n, key);
    case kI64:
      return take_elements<int64_t, int64_t>(n, key);
    case kF32:
      return take_elements<float, double>(n, key);
    case kF64:
      return take_elements<double, double>(n, key);
    case kBool:
      return take_elements<uint8_t, bool>(n, key);
    case kString:
      break;
    case kArray:
      fail(ErrorCode::unsupported, "{}: key '{}' is an array of arrays, which no known model uses", name_, key);
    default:
      fail(ErrorCode::corrupt, "{}: key '{}' is an array of unknown type {}", name_, key, type);
  }
  require(count <= left() / 8, ErrorCode::corrupt, "{}: key '{}' is an array of {} strings, but {} bytes are left", name_, key,
          count, left());
  std::vector<std::string> texts;
  texts.reserve(size_t(n));
  for (int64_t i = 0; i < n; ++i) texts.push_back(take_string(key));
  return texts;
}

GgufValue GgufReader::take_value(uint32_t type, std::string_view key) {
  switch (type) {
    case kU8:
      return int64_t(take<uint8_t>(key));
    case kI8:
      return int64_t(take<int8_t>(key));
    case kU16:
      return int64_t(take<uint16_t>(key));
    case kI16:
      return int64_t(take<int16_t>(key));
    case kU32:
      return int64_t(take<uint32_t>(key));
    case kI32:
      return int64_t(take<int32_t>(key));
    case kU64:
      return take_elements<uint64_t, int64_t>(1, key)[0];
    case kI64:
      return take<int64_t>(key);
    case kF32:
      return double(take<float>(key));
    case kF64:
      return take<double>(key);
    case kBool:
      return bool(take_elements<uint8_t, bool>(1, key)[0]);
    case kString:
      return take_string(key);
    case kArray:
      return take_array(key);
    default:
      fail(ErrorCode::corrupt, "{}: key '{}' has unknown type {}; the file is damaged or newer than this reader", name_, key,
           type);
  }
}

void GgufReader::read_metadata(int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    std::string key = take_name("a metadata key", kMaxKey);
    const uint32_t type = take<uint32_t>(key);
    GgufValue value = take_value(type, key);
    const auto [entry, added] = out_->metadata_.emplace(std::move(key), std::move(value));
    require(added, ErrorCode::corrupt, "{}: key '{}' occurs twice", name_, entry->first);
  }
}

GgufReader::Place GgufReader::read_tensor() {
  RawTensor tensor;
  tensor.name = take_name("a tensor's name", kMaxTensorName);
  tensor.source = fmt::format("{}: {}", name_, tensor.name);
  const std::string& where = tensor.source;
  const uint32_t rank = take<uint32_t>(where);
  require(rank <= uint32_t(Shape::kMaxDims), ErrorCode::corrupt, "{}: {} dimensions, GGUF allows {}", where, rank,
          Shape::kMaxDims);
  int64_t dims[Shape::kMaxDims] = {1, 1, 1, 1};  // in the file's order: the contiguous one first
  int64_t elements = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    const uint64_t dim = take<uint64_t>(where);
    require(dim > 0 && dim <= uint64_t(INT64_MAX), ErrorCode::corrupt, "{}: dimension {} is {}, expected 1 to 2^63-1", where, i,
            dim);
    dims[i] = int64_t(dim);
    elements = checked_mul(elements, dims[i], where);
  }
  switch (rank) {
    case 0:
      break;
    case 1:
      tensor.shape = {dims[0]};
      break;
    case 2:
      tensor.shape = {dims[1], dims[0]};
      break;
    case 3:
      tensor.shape = {dims[2], dims[1], dims[0]};
      break;
    default:
      tensor.shape = {dims[3], dims[2], dims[1], dims[0]};
  }
  const uint32_t id = take<uint32_t>(where);
  const TensorTypeInfo* info = find_ggml_type(id);
  require(info != nullptr, ErrorCode::unsupported, "{}: tensor type {} is unknown; the file is newer than Gale or damaged", where,
          id);
  tensor.type = info->type;
  const uint64_t offset = take<uint64_t>(where);
  require(offset <= uint64_t(INT64_MAX), ErrorCode::corrupt, "{}: offset {} is beyond any file", where, offset);
  const Place place{int64_t(offset), checked_mul(row_bytes(tensor.type, dims[0], where), elements / dims[0], where)};
  out_->tensors_.push_back(std::move(tensor));
  return place;
}

int64_t GgufReader::alignment() const {
  const int64_t value = out_->integer("general.alignment").value_or(32);
  require(value > 0 && value <= kMaxAlignment && std::has_single_bit(uint64_t(value)), ErrorCode::corrupt,
          "{}: general.alignment is {}, expected a power of two up to {}", name_, value, kMaxAlignment);
  return value;
}

/// Gives every tensor its bytes, once the header's end is known.
void GgufReader::place_tensors(const std::vector<Place>& places) {
  const int64_t align = alignment();
  const int64_t start = std::min(round_up(int64_t(at_), align), int64_t(file_.size()));
  const int64_t available = int64_t(file_.size()) - start;
  for (size_t i = 0; i < places.size(); ++i) {
    const auto [offset, size] = places[i];
    RawTensor& tensor = out_->tensors_[i];
    require(offset % align == 0, ErrorCode::corrupt, "{}: offset {} is no multiple of the alignment {}", tensor.source, offset,
            align);
    require(
        offset <= available && size <= available - offset, ErrorCode::corrupt,
        "{}: {} of shape {} takes {} bytes at offset {}, but the file has {} bytes of data; it is cut short, download it again",
        tensor.source, tensor_type_info(tensor.type).name, tensor.shape.text(), size, offset, available);
    tensor.bytes = file_.subspan(size_t(start + offset), size_t(size));
    tensor.owner = owner_;
  }
}

void GgufReader::check_overlaps(const std::vector<Place>& places) const {
  std::vector<size_t> order(places.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return places[a].offset < places[b].offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    const Place& before = places[order[i - 1]];
    require(before.offset + before.size <= places[order[i]].offset, ErrorCode::corrupt, "{} overlaps {} at offset {}",
            out_->tensors_[order[i]].source, out_->tensors_[order[i - 1]].name, places[order[i]].offset);
  }
  std::unordered_set<std::string_view> names;
  for (const RawTensor& tensor : out_->tensors_)
    require(names.insert(tensor.name).second, ErrorCode::corrupt, "{}: the name occurs twice", tensor.source);
}

std::shared_ptr<GgufFile> GgufReader::read() {
  out_ = std::make_shared<GgufFile>();
  out_->name_ = name_;
  check_version();
  const uint64_t tensors = take<uint64_t>("the number of tensors");
  const int64_t entries = take_count("the number of metadata entries", kLeastEntry);
  require(tensors <= left() / kLeastTensor, ErrorCode::corrupt,
          "{}: the number of tensors is {}, but {} bytes are left; it is cut short or damaged", name_, tensors, left());
  const size_t begin = at_;
  read_metadata(entries);
  out_->entries_ = file_.subspan(begin, at_ - begin);
  out_->owner_ = owner_;
  std::vector<Place> places;
  for (uint64_t i = 0; i < tensors; ++i) places.push_back(read_tensor());
  place_tensors(places);
  check_overlaps(places);
  return std::move(out_);
}

}  // namespace gale
