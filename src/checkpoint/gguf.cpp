#include "checkpoint/gguf.h"

#include <unordered_set>

#include "base/fail.h"
#include "base/mmap.h"
#include "checkpoint/gguf_reader.h"

namespace gale {
namespace {

/// The value under `key` if it is a T, nullptr where the key is absent.
template <class T>
const T* lookup(const GgufFile& file, std::string_view key, std::string_view expected) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  constexpr const char* kNames[] = {"a bool", "an integer", "a float", "a string", "bools", "integers", "floats", "strings"};
  require(value != nullptr, ErrorCode::corrupt, "{}: key '{}' holds {}, expected {}", file.name(), key,
          kNames[found->second.index()], expected);
  return value;
}

/// "model-00002-of-00003.gguf" with another number.
std::filesystem::path split_path(const std::filesystem::path& path, int64_t number, int64_t count) {
  constexpr size_t kTail = 20;  // "-00001-of-00003.gguf"
  std::string name = path.filename().string();
  const std::string end = fmt::format("-of-{:05}.gguf", count);
  require(
      name.size() > kTail && name.ends_with(end) && name[name.size() - kTail] == '-', ErrorCode::corrupt,
      "{} is one of {} splits, but its name does not end in -00001{}, so the others cannot be found; give them their names back",
      path.string(), count, end);
  name.replace(name.size() - kTail + 1, 5, fmt::format("{:05}", number));
  return path.parent_path() / name;
}

std::shared_ptr<GgufFile> read_file(const std::filesystem::path& path) {
  std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  return GgufReader(file->bytes(), file, path.filename().string()).read();
}

template <class T>
void append(std::string& out, T number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

}  // namespace

std::shared_ptr<const GgufFile> GgufFile::parse(std::span<const std::byte> file, std::shared_ptr<const void> owner,
                                                std::string_view name) {
  return GgufReader(file, std::move(owner), name).read();
}

std::string GgufFile::without_tensors() const {
  std::string out = "GGUF";
  append(out, uint32_t(version_));
  append(out, uint64_t(0));
  append(out, uint64_t(metadata_.size()));
  return out.append(reinterpret_cast<const char*>(entries_.data()), entries_.size());
}

std::shared_ptr<const GgufFile> GgufFile::open(const std::filesystem::path& path) {
  std::shared_ptr<GgufFile> out = read_file(path);
  const int64_t count = out->integer("split.count").value_or(0);
  if (count <= 1) {
    out->files_ = {path};
    return out;
  }
  require(count <= 99999, ErrorCode::corrupt, "{}: split.count is {}, five digits are the most", path.string(), count);
  const std::filesystem::path first = split_path(path, 1, count);
  if (out->integer("split.no").value_or(0) != 0) out = read_file(first);
  for (int64_t i = 0; i < count; ++i) {
    const std::filesystem::path part = split_path(path, i + 1, count);
    require(std::filesystem::exists(part), ErrorCode::not_found, "{} is split in {} files, and {} is missing; download it",
            first.string(), count, part.string());
    const std::shared_ptr<GgufFile> split = i == 0 ? out : read_file(part);
    out->files_.push_back(part);
    const int64_t number = split->integer("split.no").value_or(-1), total = split->integer("split.count").value_or(-1);
    require(number == i && total == count, ErrorCode::corrupt,
            "{} says that it is split {} of {}, expected {} of {} (counted from 0)", part.string(), number, total, i, count);
    if (i == 0) continue;
    for (RawTensor& tensor : split->tensors_) out->tensors_.push_back(std::move(tensor));
  }
  std::unordered_set<std::string_view> names;
  for (const RawTensor& tensor : out->tensors_)
    require(names.insert(tensor.name).second, ErrorCode::corrupt, "{}: another split has the same tensor", tensor.source);
  const int64_t expected = out->integer("split.tensors.count").value_or(int64_t(out->tensors_.size()));
  require(expected == int64_t(out->tensors_.size()), ErrorCode::corrupt,
          "{}: split.tensors.count is {}, but the {} files hold {} tensors", first.string(), expected, count,
          out->tensors_.size());
  return out;
}

const std::string* GgufFile::text(std::string_view key) const { return lookup<std::string>(*this, key, "a string"); }

std::optional<int64_t> GgufFile::integer(std::string_view key) const {
  const int64_t* value = lookup<int64_t>(*this, key, "an integer");
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<double> GgufFile::number(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found != metadata_.end() && std::holds_alternative<int64_t>(found->second)) return double(std::get<int64_t>(found->second));
  const double* value = lookup<double>(*this, key, "a number");
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<bool> GgufFile::boolean(std::string_view key) const {
  const bool* value = lookup<bool>(*this, key, "a bool");
  return value ? std::optional(*value) : std::nullopt;
}

const std::vector<std::string>* GgufFile::texts(std::string_view key) const {
  return lookup<std::vector<std::string>>(*this, key, "strings");
}

const std::vector<int64_t>* GgufFile::integers(std::string_view key) const {
  return lookup<std::vector<int64_t>>(*this, key, "integers");
}

const std::vector<double>* GgufFile::numbers(std::string_view key) const {
  return lookup<std::vector<double>>(*this, key, "floats");
}

}  // namespace gale
