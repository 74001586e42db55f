#include "checkpoint/packed_file.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "base/checked.h"
#include "base/log.h"
#include "base/mmap.h"
#include "checkpoint/checkpoint_builder.h"
#include "checkpoint/gguf.h"
#include "checkpoint/hash.h"
#include "checkpoint/json_file.h"

namespace gale {
namespace {

namespace fs = std::filesystem;

constexpr char kMagic[] = {'G', 'A', 'L', 'E', 'P', 'A', 'C', 'K'};
constexpr uint32_t kVersion = 1;
constexpr uint64_t kMostIndex = uint64_t(64) << 20;
constexpr size_t kMostName = 512;
/// Panels are the same for every instruction set today. A set that wants its own says so here, and readers refuse what is not
/// theirs.
constexpr const char* kAnyIsa = "any";
constexpr const char* kAgain = "pack the model again with gale quantize --packed";

/// As it lies in the file; every field is little endian, as is every machine that Gale runs on.
struct Preamble {
  char magic[8];
  uint32_t version, zero;
  uint64_t index_at, index_bytes, file_bytes, index_hash, reserved, own_hash;
};
static_assert(sizeof(Preamble) == 64);

uint64_t own_hash(const Preamble& p) { return hash_bytes(std::as_bytes(std::span(&p, 1)).first(offsetof(Preamble, own_hash))); }

Preamble read_preamble(std::span<const std::byte> file, std::string_view name) {
  Preamble out;
  require(file.size() >= sizeof out, ErrorCode::corrupt, "{}: a packed file has at least {} bytes, this one {}; it is cut short",
          name, sizeof out, file.size());
  std::memcpy(&out, file.data(), sizeof out);
  require(std::memcmp(out.magic, kMagic, sizeof kMagic) == 0, ErrorCode::corrupt, "{}: does not begin as a packed file does",
          name);
  require(out.version == kVersion, ErrorCode::unsupported, "{}: packed file of version {}, but this Gale reads version {}; {}",
          name, out.version, kVersion, kAgain);
  require(own_hash(out) == out.own_hash, ErrorCode::corrupt, "{}: the first 64 bytes are damaged; {}", name, kAgain);
  require(out.file_bytes == file.size(), ErrorCode::corrupt,
          "{}: has {} bytes instead of {}; it is cut short or something was added", name, file.size(), out.file_bytes);
  require(out.index_bytes <= kMostIndex && out.index_at <= file.size() && out.index_bytes <= file.size() - out.index_at,
          ErrorCode::corrupt, "{}: its index of {} bytes at {} is not within its {} bytes", name, out.index_bytes, out.index_at,
          file.size());
  return out;
}

/// Reads the index; messages name the place in it.
class Reader {
 public:
  Reader(std::span<const std::byte> file, std::shared_ptr<const void> owner, std::string_view name)
      : file_(file), owner_(std::move(owner)), name_(name) {}

  PackedContents read() {
    const Preamble preamble = read_preamble(file_, name_);
    end_ = int64_t(preamble.index_at);
    const auto bytes = file_.subspan(size_t(preamble.index_at), size_t(preamble.index_bytes));
    require(hash_bytes(bytes) == preamble.index_hash, ErrorCode::corrupt, "{}: its index is damaged; {}", name_, kAgain);
    const Json index = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name_);
    const std::string isa = text(index, "isa");
    require(isa == kAnyIsa, ErrorCode::unsupported, "{}: arranged for the {} kernels, which this Gale does not have; {}", name_,
            isa, kAgain);
    PackedContents out;
    out.config = object(index, "config");
    out.generation_config = object(index, "generation_config");
    out.tokenizer_config = object(index, "tokenizer_config");
    out.config_source = plain_text(index, "config_source");
    out.info.model = plain_text(index, "model");
    out.info.type = plain_text(index, "type");
    out.info.owner = owner_;
    for (const Json& source : list(index, "sources")) out.info.sources.push_back(read_source(source));
    for (const auto& [layout, hash] : object(index, "layouts").items())
      out.info.layouts[layout] = parse_hash(hash.is_string() ? hash.get<std::string>() : "", where("layouts"));
    for (const auto& [key, place] : object(index, "texts").items()) {
      const auto blob = read_blob(place, key);
      require(hash_bytes(blob) == parse_hash(text(place, "hash"), where(key)), ErrorCode::corrupt, "{} is damaged; {}",
              where(key), kAgain);
      out.info.texts[key] = {reinterpret_cast<const char*>(blob.data()), blob.size()};
    }
    for (const Json& tensor : list(index, "tensors")) read_tensor(tensor, out);
    check_overlaps();
    return out;
  }

 private:
  std::string where(std::string_view key) const { return fmt::format("{}: index, \"{}\"", name_, key); }
  const Json& member(const Json& at, const char* key) const {
    const auto found = at.is_object() ? at.find(key) : at.end();
    require(at.is_object() && found != at.end(), ErrorCode::corrupt, "{} is missing", where(key));
    return *found;
  }
  std::string text(const Json& at, const char* key) const {
    const Json& value = member(at, key);
    require(value.is_string(), ErrorCode::corrupt, "{} is no string", where(key));
    return value.get<std::string>();
  }
  // What messages show: nothing in it may steer a terminal.
  std::string plain_text(const Json& at, const char* key) const {
    std::string out = text(at, key);
    const bool plain = std::ranges::none_of(out, [](unsigned char c) { return c < ' ' || c == 127; });
    require(plain, ErrorCode::corrupt, "{} has control characters", where(key));
    return out;
  }
  const Json& object(const Json& at, const char* key) const {
    const Json& value = member(at, key);
    require(value.is_object(), ErrorCode::corrupt, "{} is no object", where(key));
    return value;
  }
  const Json& list(const Json& at, const char* key) const {
    const Json& value = member(at, key);
    require(value.is_array(), ErrorCode::corrupt, "{} is no array", where(key));
    return value;
  }
  int64_t size(const Json& value, std::string_view key) const {
    require(value.is_number_integer(), ErrorCode::corrupt, "{} is no whole number", where(key));
    const bool fits = !value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t(INT64_MAX);
    require(fits && value.get<int64_t>() >= 0, ErrorCode::corrupt, "{} is {}, out of range", where(key), value.dump());
    return value.get<int64_t>();
  }

  SourceFile read_source(const Json& at) const {
    SourceFile out;
    out.path = plain_text(at, "path");
    out.bytes = size(member(at, "bytes"), "bytes");
    const Json& modified = member(at, "modified");
    require(modified.is_number_integer(), ErrorCode::corrupt, "{} is no whole number", where("modified"));
    out.modified = modified.get<int64_t>();
    out.sample = parse_hash(text(at, "sample"), where("sample"));
    out.hash = parse_hash(text(at, "hash"), where("hash"));
    return out;
  }

  // {"at": byte, "bytes": count}
  std::span<const std::byte> read_blob(const Json& entry, std::string_view key) {
    const int64_t at = size(member(entry, "at"), key), bytes = size(member(entry, "bytes"), key);
    require(at >= int64_t(sizeof(Preamble)) && at % int64_t(PackedWriter::kAlignment) == 0 && at <= end_ && bytes <= end_ - at,
            ErrorCode::corrupt, "{}: {} bytes at byte {} are not within the {} bytes before the index", where(key), bytes, at,
            end_);
    places_.push_back({at, bytes});
    return file_.subspan(size_t(at), size_t(bytes));
  }

  void read_tensor(const Json& entry, PackedContents& out) {
    RawTensor t;
    t.name = text(entry, "name");
    const bool plain = std::all_of(t.name.begin(), t.name.end(), [](char c) { return c >= ' ' && c <= '~'; });
    require(plain && !t.name.empty() && t.name.size() <= kMostName, ErrorCode::corrupt,
            "{}: a tensor's name is not 1 to {} printable characters", where("tensors"), kMostName);
    t.source = fmt::format("{}: {}", name_, t.name);
    const std::string type = text(entry, "type");
    const auto known = std::ranges::find(tensor_types(), std::string_view(type), &TensorTypeInfo::name);
    require(known != tensor_types().end(), ErrorCode::corrupt, "{}: the type \"{}\" is not known", t.source, type);
    t.type = known->type;
    t.shape = read_shape(entry, t.source);
    t.layout = text(entry, "layout");
    t.bytes = read_blob(entry, t.name);
    t.owner = owner_;
    if (t.layout.empty()) {
      const int64_t expected = checked_mul(t.rows(), row_bytes(t.type, t.columns(), t.source), t.source);
      require(int64_t(t.bytes.size()) == expected, ErrorCode::corrupt, "{}: {} of shape {} takes {} bytes, but it has {}",
              t.source, type, t.shape.text(), expected, t.bytes.size());
    } else {
      // No layout has less than a bit to a weight; the rule keeps what is computed from the shape far from overflow.
      require(t.elements() / 8 <= int64_t(t.bytes.size()), ErrorCode::corrupt, "{}: shape {} does not fit into {} bytes",
              t.source, t.shape.text(), t.bytes.size());
      require(out.info.layouts.contains(t.layout), ErrorCode::corrupt, "{}: the layout \"{}\" is not among those listed",
              t.source, t.layout);
    }
    out.info.hashes.push_back(parse_hash(text(entry, "hash"), t.source));
    out.tensors.push_back(std::move(t));
  }

  Shape read_shape(const Json& entry, const std::string& source) const {
    const Json& dims = list(entry, "shape");
    require(dims.size() <= size_t(Shape::kMaxDims), ErrorCode::corrupt, "{}: {} dimensions, {} are the most", source, dims.size(),
            Shape::kMaxDims);
    int64_t d[Shape::kMaxDims] = {}, elements = 1;
    for (size_t i = 0; i < dims.size(); ++i) {
      d[i] = size(dims[i], "shape");
      require(d[i] > 0, ErrorCode::corrupt, "{}: a dimension is 0", source);
      elements = checked_mul(elements, d[i], source);
    }
    switch (dims.size()) {
      case 0:
        return {};
      case 1:
        return {d[0]};
      case 2:
        return {d[0], d[1]};
      case 3:
        return {d[0], d[1], d[2]};
      default:
        return {d[0], d[1], d[2], d[3]};
    }
  }

  void check_overlaps() {
    std::ranges::sort(places_);
    for (size_t i = 1; i < places_.size(); ++i)
      require(places_[i - 1].first + places_[i - 1].second <= places_[i].first, ErrorCode::corrupt,
              "{}: two of its parts overlap at byte {}", name_, places_[i].first);
  }

  std::span<const std::byte> file_;
  std::shared_ptr<const void> owner_;
  std::string name_;
  int64_t end_ = 0;
  std::vector<std::pair<int64_t, int64_t>> places_;
};

/// Where a source lies now: where it was, or, if `beside`, next to the packed file; nothing where it is gone.
std::optional<fs::path> find_source(const SourceFile& source, const fs::path& packed, bool beside) {
  const fs::path path = beside ? packed.parent_path() / source.path.filename() : source.path;
  std::error_code error;
  return fs::is_regular_file(path, error) ? std::optional(path) : std::nullopt;
}

/// Another user's file that may not be read is no reason to refuse what was made from it.
std::string change_of(const SourceFile& source, const fs::path& path, bool thorough) {
  try {
    return changes_of(source, path, thorough);
  } catch (const Error& e) {
    if (thorough || e.code() != ErrorCode::not_found) throw;
    log_warning("whether it has changed since is not known: {}", e.what());
    return "";
  }
}

}  // namespace

std::optional<std::string> PackedInfo::text(std::string_view name) const {
  const auto found = texts.find(name);
  return found == texts.end() ? std::nullopt : std::optional(std::string(found->second));
}

PackedContents parse_packed(std::span<const std::byte> file, std::shared_ptr<const void> owner, std::string_view name) {
  return Reader(file, std::move(owner), name).read();
}

void check_sources(const PackedInfo& info, const fs::path& packed, bool thorough) {
  const auto there = [&](bool beside) {
    return std::ranges::count_if(info.sources, [&](const SourceFile& s) { return find_source(s, packed, beside).has_value(); });
  };
  const bool beside = there(false) == 0;
  if (beside && there(true) < ptrdiff_t(info.sources.size())) return;
  for (const SourceFile& source : info.sources) {
    const auto path = find_source(source, packed, beside);
    if (!path) continue;
    const std::string change = change_of(source, *path, thorough);
    require(change.empty(), ErrorCode::corrupt, "{} is stale: {}, which it was packed from, has changed since ({}); {}",
            packed.string(), path->string(), change, kAgain);
  }
}

void verify_packed(const Checkpoint& checkpoint) {
  const PackedInfo* info = checkpoint.packed();
  require(info != nullptr, ErrorCode::invalid_argument, "{} is no packed file: it has no hashes to verify",
          checkpoint.path().string());
  for (size_t i = 0; i < checkpoint.tensors().size(); ++i)
    require(hash_bytes(checkpoint.tensors()[i].bytes) == info->hashes[i], ErrorCode::corrupt, "{}: its bytes are damaged; {}",
            checkpoint.tensors()[i].source, kAgain);
  check_sources(*info, checkpoint.path(), true);
}

CheckpointBuilder::Result CheckpointBuilder::from_packed(const Path& file) {
  const auto mapped = MappedFile::open(file);
  Result out = from_packed(mapped->bytes(), mapped, file);
  check_sources(*out->packed(), file, false);
  return out;
}

CheckpointBuilder::Result CheckpointBuilder::from_packed(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                                         const Path& path) {
  PackedContents contents = parse_packed(bytes, owner, path.filename().string());
  std::shared_ptr<Checkpoint> out = start(path, std::move(contents.config), std::move(contents.tensors));
  out->config_source_ = std::move(contents.config_source);
  out->generation_config_ = std::make_shared<const Json>(std::move(contents.generation_config));
  out->tokenizer_config_ = std::make_shared<const Json>(std::move(contents.tokenizer_config));
  if (const auto found = contents.info.texts.find("metadata.gguf"); found != contents.info.texts.end())
    out->gguf_ = GgufFile::parse(std::as_bytes(std::span(found->second)), owner, path.filename().string());
  out->packed_ = std::make_shared<const PackedInfo>(std::move(contents.info));
  return out;
}

std::vector<std::byte> packed_preamble(std::span<const std::byte> index, uint64_t file_bytes) {
  Preamble out{};
  std::memcpy(out.magic, kMagic, sizeof kMagic);
  out.version = kVersion;
  out.index_at = file_bytes - index.size();
  out.index_bytes = index.size();
  out.file_bytes = file_bytes;
  out.index_hash = hash_bytes(index);
  out.own_hash = own_hash(out);
  const auto bytes = std::as_bytes(std::span(&out, 1));
  return {bytes.begin(), bytes.end()};
}

PackedWriter::PackedWriter(fs::path path, bool large) : file_(std::move(path)), tensors_(Json::array()), texts_(Json::object()) {
  constexpr size_t kHugePage = size_t(2) << 20;
  file_.write(std::vector<std::byte>(large ? kHugePage : sizeof(Preamble)));
}

void PackedWriter::pad() {
  static constexpr std::byte kZeros[kAlignment] = {};
  file_.write(std::span(kZeros).first((kAlignment - file_.written() % kAlignment) % kAlignment));
}

void PackedWriter::tensor(const std::string& name, TensorType type, const Shape& shape, const std::string& layout,
                          std::span<const std::byte> bytes) {
  require(names_.insert(name).second, ErrorCode::internal, "{} is packed twice", name);
  Json dims = Json::array();
  for (int i = 0; i < shape.rank(); ++i) dims.push_back(shape[i]);
  pad();
  tensors_.push_back({{"name", name},
                      {"type", tensor_type_info(type).name},
                      {"shape", std::move(dims)},
                      {"layout", layout},
                      {"at", file_.written()},
                      {"bytes", bytes.size()},
                      {"hash", hash_text(hash_bytes(bytes))}});
  file_.write(bytes);
}

void PackedWriter::text(const std::string& name, std::string_view text) {
  pad();
  texts_[name] = {
      {"at", file_.written()}, {"bytes", text.size()}, {"hash", hash_text(hash_bytes(std::as_bytes(std::span(text))))}};
  file_.write(text);
}

void PackedWriter::commit(const PackedInfo& info, const Checkpoint& source) {
  Json sources = Json::array(), layouts = Json::object();
  for (const SourceFile& s : info.sources)
    sources.push_back({{"path", s.path.string()},
                       {"bytes", s.bytes},
                       {"modified", s.modified},
                       {"sample", hash_text(s.sample)},
                       {"hash", hash_text(s.hash)}});
  for (const auto& [name, hash] : info.layouts) layouts[name] = hash_text(hash);
  const Json index = {{"model", info.model},
                      {"type", info.type},
                      {"isa", kAnyIsa},
                      {"layouts", std::move(layouts)},
                      {"sources", std::move(sources)},
                      {"config_source", source.config_source()},
                      {"config", source.config()},
                      {"generation_config", source.generation_config()},
                      {"tokenizer_config", source.tokenizer_config()},
                      {"texts", std::move(texts_)},
                      {"tensors", std::move(tensors_)}};
  const std::string text = index.dump(-1, ' ', false, Json::error_handler_t::replace);
  pad();
  file_.write(text);
  file_.overwrite(0, packed_preamble(std::as_bytes(std::span(text)), file_.written()));
  file_.commit();
}

}  // namespace gale
