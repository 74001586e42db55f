#include "checkpoint/safetensors.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "base/checked.h"
#include "base/file.h"
#include "base/mmap.h"

namespace gale {
namespace {

namespace dom = simdjson::dom;

constexpr uint64_t kMaxHeader = 100'000'000;  // the format's own limit
constexpr size_t kMaxDepth = 8;               // a header needs 3
constexpr size_t kMaxName = 4096;
constexpr size_t kMaxIndex = size_t(512) << 20;

/// Parses `text` with a bounded depth. The result lives in `parser`.
dom::object parse_object(dom::parser& parser, std::string_view text, std::string_view where, std::string_view what) {
  simdjson::error_code error = parser.allocate(text.size(), kMaxDepth);
  dom::element root;
  if (!error) error = parser.parse(text.data(), text.size()).get(root);
  require(!error, ErrorCode::corrupt, "{}: {} is not valid JSON: {}", where, what, simdjson::error_message(error));
  dom::object object;
  require(!root.get(object), ErrorCode::corrupt, "{}: {} is not a JSON object", where, what);
  return object;
}

/// One entry of a header, with its place in the data.
struct Entry {
  RawTensor tensor;
  int64_t begin = 0, end = 0;
};

int64_t size_value(dom::element value, std::string_view where, std::string_view field) {
  uint64_t n = 0;
  require(!value.get(n) && n <= uint64_t(INT64_MAX), ErrorCode::corrupt,
          "{}: {} holds something else than an integer from 0 to 2^63-1", where, field);
  return int64_t(n);
}

/// Reads "shape", folding the dimensions that exceed kMaxDims into the last one.
Shape read_shape(dom::element value, std::string_view where) {
  dom::array dims;
  require(!value.get(dims), ErrorCode::corrupt, "{}: shape is no array", where);
  std::vector<int64_t> all;
  for (dom::element dim : dims) {
    require(all.size() < 16, ErrorCode::corrupt, "{}: shape has more than 16 dimensions", where);
    all.push_back(size_value(dim, where, "shape"));
  }
  int64_t elements = 1;  // also bounds every partial product, unless a later dimension is 0
  for (int64_t dim : all) elements = checked_mul(elements, std::max<int64_t>(dim, 1), where);
  while (all.size() > Shape::kMaxDims) {
    const int64_t last = all.back();
    all.pop_back();
    all.back() *= last;
  }
  switch (all.size()) {
    case 0:
      return {};
    case 1:
      return {all[0]};
    case 2:
      return {all[0], all[1]};
    case 3:
      return {all[0], all[1], all[2]};
    default:
      return {all[0], all[1], all[2], all[3]};
  }
}

TensorType read_dtype(dom::element value, std::string_view where) {
  std::string_view dtype;
  require(!value.get(dtype), ErrorCode::corrupt, "{}: dtype is no string", where);
  const TensorTypeInfo* info = find_safetensors_type(dtype);
  if (info) return info->type;
  std::string known;
  for (const TensorTypeInfo& t : tensor_types())
    if (!t.safetensors.empty()) known += (known.empty() ? "" : ", ") + std::string(t.safetensors);
  fail(ErrorCode::unsupported, "{}: dtype {} is unknown; known are {}", where, dtype, known);
}

Entry read_entry(std::string_view key, dom::element value, std::string_view file, int64_t data_size) {
  require(!key.empty() && key.size() <= kMaxName, ErrorCode::corrupt, "{}: a tensor's name has {} bytes, allowed are 1 to {}",
          file, key.size(), kMaxName);
  Entry entry;
  RawTensor& tensor = entry.tensor;
  tensor.name = key;
  tensor.source = fmt::format("{}: {}", file, key);
  const std::string& where = tensor.source;
  dom::object fields;
  dom::element dtype, shape, offsets;
  require(
      !value.get(fields) && !fields["dtype"].get(dtype) && !fields["shape"].get(shape) && !fields["data_offsets"].get(offsets),
      ErrorCode::corrupt, "{}: the header entry lacks dtype, shape or data_offsets", where);
  tensor.type = read_dtype(dtype, where);
  tensor.shape = read_shape(shape, where);
  dom::array pair;
  require(!offsets.get(pair) && pair.size() == 2, ErrorCode::corrupt, "{}: data_offsets is no pair", where);
  entry.begin = size_value(pair.at(0), where, "data_offsets");
  entry.end = size_value(pair.at(1), where, "data_offsets");
  require(entry.begin <= entry.end && entry.end <= data_size, ErrorCode::corrupt,
          "{}: data_offsets [{}, {}] leave the {} bytes of data the file has; it is cut short or damaged, download it again",
          where, entry.begin, entry.end, data_size);
  const int64_t expected = checked_mul(tensor.elements(), tensor_type_info(tensor.type).bytes, where);
  require(entry.end - entry.begin == expected, ErrorCode::corrupt, "{}: {} of shape {} needs {} bytes, but data_offsets span {}",
          where, tensor_type_info(tensor.type).name, tensor.shape.text(), expected, entry.end - entry.begin);
  return entry;
}

/// The format allows neither holes nor overlaps: data hidden between tensors is how polyglot files are made.
void check_layout(const std::vector<Entry>& entries, int64_t data_size, std::string_view file) {
  std::vector<const Entry*> order;
  order.reserve(entries.size());
  for (const Entry& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(),
            [](const Entry* a, const Entry* b) { return std::pair(a->begin, a->end) < std::pair(b->begin, b->end); });
  int64_t at = 0;
  for (const Entry* entry : order) {
    require(entry->begin == at, ErrorCode::corrupt, "{}: data begins at byte {}, but the tensors before it end at {}",
            entry->tensor.source, entry->begin, at);
    at = entry->end;
  }
  require(at == data_size, ErrorCode::corrupt, "{}: tensors end at byte {} of {} bytes of data", file, at, data_size);
}

void check_metadata(dom::element value, std::string_view file) {
  dom::object entries;
  require(!value.get(entries), ErrorCode::corrupt, "{}: __metadata__ is no object", file);
  for (const auto [key, text] : entries)
    require(text.is_string(), ErrorCode::corrupt, "{}: __metadata__ entry '{}' is no string", file, key);
}

}  // namespace

std::vector<RawTensor> parse_safetensors(std::span<const std::byte> file, std::shared_ptr<const void> owner,
                                         std::string_view name) {
  require(file.size() >= 8, ErrorCode::corrupt, "{}: {} bytes are too few for a safetensors file; download it again", name,
          file.size());
  uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  require(length <= kMaxHeader, ErrorCode::corrupt,
          "{}: a header of {} bytes is above the format's limit of {}; this is no safetensors file", name, length, kMaxHeader);
  require(length <= file.size() - 8, ErrorCode::corrupt,
          "{}: the header of {} bytes leaves the file of {} bytes; it is cut short, download it again", name, length,
          file.size());
  const std::string_view header(reinterpret_cast<const char*>(file.data()) + 8, length);
  require(header.starts_with('{'), ErrorCode::corrupt, "{}: the header does not begin with '{{'; this is no safetensors file",
          name);
  const std::span<const std::byte> data = file.subspan(8 + length);

  dom::parser parser;
  std::vector<Entry> entries;
  for (const auto [key, value] : parse_object(parser, header, name, "the header"))
    if (key == "__metadata__")
      check_metadata(value, name);
    else
      entries.push_back(read_entry(key, value, name, int64_t(data.size())));
  check_layout(entries, int64_t(data.size()), name);

  std::vector<RawTensor> tensors;
  tensors.reserve(entries.size());
  std::unordered_set<std::string_view> seen;
  for (Entry& entry : entries) {
    entry.tensor.bytes = data.subspan(size_t(entry.begin), size_t(entry.end - entry.begin));
    entry.tensor.owner = owner;
    tensors.push_back(std::move(entry.tensor));
    require(seen.insert(tensors.back().name).second, ErrorCode::corrupt, "{}: the name occurs twice in the header",
            tensors.back().source);
  }
  return tensors;
}

std::vector<RawTensor> open_safetensors(const std::filesystem::path& path) {
  std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  return parse_safetensors(file->bytes(), file, path.filename().string());
}

std::vector<RawTensor> open_safetensors_index(const std::filesystem::path& index, std::vector<std::filesystem::path>* files) {
  if (files != nullptr) files->push_back(index);
  const std::string name = index.filename().string(), text = read_text(index, kMaxIndex);
  dom::parser parser;
  dom::object map;
  require(!parse_object(parser, text, name, "the index")["weight_map"].get(map), ErrorCode::corrupt,
          "{}: weight_map is missing or no object", index.string());
  std::unordered_map<std::string_view, std::string_view> shard_of;  // into the parser's document
  std::map<std::string_view, size_t> shards;                        // sorted: the order of loading is the order of names
  for (const auto [tensor, value] : map) {
    std::string_view shard;
    require(!value.get(shard), ErrorCode::corrupt, "{}: weight_map entry '{}' is no string", index.string(), tensor);
    require(!shard.empty() && shard != "." && shard != ".." && shard.find_first_of(std::string_view("/\\\0", 3)) == shard.npos,
            ErrorCode::corrupt, "{}: weight_map puts '{}' elsewhere than into a file of the same folder: '{}'", index.string(),
            tensor, shard);
    require(shard_of.emplace(tensor, shard).second, ErrorCode::corrupt, "{}: '{}' occurs twice in weight_map", index.string(),
            tensor);
    ++shards[shard];
  }
  std::vector<RawTensor> tensors;
  std::unordered_set<std::string> found;
  for (const auto& [shard, count] : shards) {
    const std::filesystem::path path = index.parent_path() / shard;
    require(std::filesystem::is_regular_file(path), ErrorCode::not_found,
            "{}: shard {} is missing ({} tensors lie in it); download it", index.string(), path.string(), count);
    if (files != nullptr) files->push_back(path);
    for (RawTensor& tensor : open_safetensors(path)) {
      const auto listed = shard_of.find(tensor.name);
      if (listed != shard_of.end() && listed->second != shard) continue;
      require(found.insert(tensor.name).second, ErrorCode::corrupt, "{}: another shard has the same tensor, and {} lists neither",
              tensor.source, name);
      tensors.push_back(std::move(tensor));
    }
  }
  for (const auto& [tensor, shard] : shard_of)
    require(found.contains(std::string(tensor)), ErrorCode::corrupt, "{}: '{}' should lie in {}, but that file does not have it",
            index.string(), tensor, shard);
  return tensors;
}

}  // namespace gale
