#include "checkpoint/folder_writer.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/fail.h"
#include "base/json.h"

namespace gale {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kPiece = int64_t(1) << 30;  // the system writes at most 2 GB at once
constexpr int64_t kHeaderAlignment = 8;

std::vector<int64_t> dims_of(const Shape& shape) {
  std::vector<int64_t> out;
  for (int i = 0; i < shape.rank(); ++i) out.push_back(shape[i]);
  return out;
}

}  // namespace

FolderWriter::FolderWriter(fs::path path, int64_t shard_bytes)
    : path_(path.has_filename() ? std::move(path) : path.parent_path()), shard_bytes_(shard_bytes) {
  std::error_code error;
  const bool there = fs::exists(fs::symlink_status(path_, error));
  require(!there || (fs::is_directory(path_, error) && fs::is_empty(path_, error)), ErrorCode::invalid_argument,
          "{} is there already; a model is written to a folder that is new or empty", path_.string());
  const fs::path parent = path_.has_parent_path() ? path_.parent_path() : ".";
  require(fs::is_directory(parent, error), ErrorCode::not_found, "cannot write {}: there is no folder {}", path_.string(),
          parent.string());
}
FolderWriter::~FolderWriter() = default;

// Beside the folder, which is not there yet.
AtomicFile& FolderWriter::add(const std::string& name) {
  others_.emplace_back(name, std::make_unique<AtomicFile>(path_.string() + "." + name));
  return *others_.back().second;
}

void FolderWriter::declare(const std::string& name, TensorType type, const Shape& shape) {
  require(shards_.empty() && !tensors_.contains(name), ErrorCode::internal, "tensor {} is declared twice, or late", name);
  require(!tensor_type_info(type).safetensors.empty(), ErrorCode::internal, "{}: safetensors has no type {}", name,
          tensor_type_info(type).name);
  const int64_t bytes = row_bytes(type, shape.elements(), name);
  tensors_[name] = {.type = type, .shape = shape, .shard = 0, .at = 0, .bytes = bytes, .written = 0};
  order_.push_back(name);
  bytes_ = checked_add(bytes_, bytes, name);
}

std::string FolderWriter::shard_name(size_t shard) const {
  if (shards_.size() == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards_.size());
}

// Shards as tensors come; in each the widest elements first, so that all of them are aligned, as readers want them.
void FolderWriter::lay_out() {
  std::vector<std::vector<std::string>> shards(1);
  int64_t bytes = 0;
  for (const std::string& name : order_) {
    const int64_t own = tensors_.at(name).bytes;
    if (bytes > 0 && bytes + own > shard_bytes_) shards.emplace_back(), bytes = 0;
    shards.back().push_back(name);
    bytes += own;
  }
  for (size_t s = 0; s < shards.size(); ++s) {
    std::ranges::sort(shards[s], {}, [&](const std::string& name) {
      return std::pair<int, std::string_view>(-tensor_type_info(tensors_.at(name).type).bytes, name);
    });
    Json header{{"__metadata__", {{"format", metadata}}}};
    int64_t at = 0;
    for (const std::string& name : shards[s]) {
      Tensor& tensor = tensors_.at(name);
      tensor.shard = s, tensor.at = at, at += tensor.bytes;
      header[name] = {{"dtype", tensor_type_info(tensor.type).safetensors},
                      {"shape", dims_of(tensor.shape)},
                      {"data_offsets", {tensor.at, at}}};
    }
    std::string text = header.dump();
    text.resize(size_t(round_up(int64_t(text.size()), kHeaderAlignment)), ' ');
    const uint64_t length = text.size();
    Shard shard;
    shard.file = std::make_unique<AtomicFile>(fmt::format("{}.model-{}", path_.string(), s + 1));
    shard.file->write(std::as_bytes(std::span(&length, 1)));
    shard.file->write(text);
    shard.data = int64_t(shard.file->written());
    shards_.push_back(std::move(shard));
  }
}

void FolderWriter::write(const std::string& name, int64_t offset, std::span<const std::byte> bytes) {
  if (shards_.empty()) lay_out();
  const auto found = tensors_.find(name);
  require(found != tensors_.end() && offset >= 0 && offset + int64_t(bytes.size()) <= found->second.bytes, ErrorCode::internal,
          "{}: {} bytes from {} on are not its own", name, bytes.size(), offset);
  Tensor& tensor = found->second;
  Shard& shard = shards_[tensor.shard];
  for (int64_t done = 0; done < int64_t(bytes.size()); done += kPiece)
    shard.file->overwrite(size_t(shard.data + tensor.at + offset + done),
                          bytes.subspan(size_t(done), size_t(std::min(kPiece, int64_t(bytes.size()) - done))));
  tensor.written += int64_t(bytes.size());
}

void FolderWriter::text(const std::string& file, std::string_view text) { add(file).write(text); }

void FolderWriter::copy(const fs::path& from) { text(from.filename().string(), read_text(from, size_t(1) << 30)); }

void FolderWriter::write_index() {
  Json map = Json::object();
  for (const auto& [name, tensor] : tensors_) map[name] = shard_name(tensor.shard);
  text("model.safetensors.index.json", Json{{"metadata", {{"total_size", bytes_}}}, {"weight_map", map}}.dump(2) + "\n");
}

void FolderWriter::commit() {
  if (shards_.empty()) lay_out();
  for (const auto& [name, tensor] : tensors_)
    require(tensor.written == tensor.bytes, ErrorCode::internal, "{}: {} of {} bytes were written", name, tensor.written,
            tensor.bytes);
  if (shards_.size() > 1) write_index();
  const fs::path whole = fmt::format("{}.tmp-{}", path_.string(), ::getpid());
  std::error_code error;
  fs::remove_all(whole, error);  // of a process that had this number and is no more
  fs::create_directory(whole, error);
  require(!error, ErrorCode::not_found, "cannot write {}: {}", whole.string(), error.message());
  try {
    for (size_t s = 0; s < shards_.size(); ++s) shards_[s].file->commit_as(whole / shard_name(s));
    for (auto& [name, file] : others_) file->commit_as(whole / name);
    fs::rename(whole, path_, error);  // over an empty folder too
    require(!error, ErrorCode::out_of_memory, "cannot finish {}: {}", path_.string(), error.message());
  } catch (...) {
    fs::remove_all(whole, error);
    throw;
  }
}

}  // namespace gale
