#include "checkpoint/uqff.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>

#include "base/checked.h"
#include "base/fail.h"
#include "checkpoint/safetensors.h"

namespace gale {
namespace fs = std::filesystem;
namespace {

constexpr uint32_t kMajor = 1, kMinor = 2;  // the newest read: a layer of a later one may mean something else
constexpr std::string_view kVersion = "uqff.version.", kFormat = ".weight.format", kEnd = ".uqff";
constexpr std::string_view kResidual = "residual.safetensors";

enum class Family : uint8_t { gguf, plain, hqq, fp8, afq, f8q8, mxfp4 };

/// The number of a tensor that holds one.
template <class T>
T number_of(const RawTensor& tensor, TensorType type) {
  require(tensor.type == type && tensor.elements() == 1 && tensor.bytes.size() == sizeof(T), ErrorCode::corrupt,
          "{} is {} {}, but must be one {}", tensor.source, tensor_type_info(tensor.type).name, tensor.shape.text(),
          tensor_type_info(type).name);
  T out;
  std::memcpy(&out, tensor.bytes.data(), sizeof out);
  return out;
}

/// A layer and what hangs on its weight, by what follows "<key>.weight."; the weight itself is "".
struct Layer {
  std::string key;
  std::map<std::string, RawTensor, std::less<>> parts;

  const RawTensor& part(std::string_view suffix) const {
    const auto found = parts.find(suffix);
    require(
        found != parts.end(), ErrorCode::corrupt,
        "{}: no tensor \"{}.weight{}{}\", which a UQFF layer of its family has; if the set has one more file (...-N.uqff), the "
        "last is missing",
        parts.begin()->second.source, key, suffix.empty() ? "" : ".", suffix);
    return found->second;
  }
  /// As "<key>.<name>".
  RawTensor renamed(std::string_view suffix, std::string_view name) const {
    RawTensor out = part(suffix);
    out.name = fmt::format("{}.{}", key, name);
    return out;
  }
  /// The shape that a layer of blocks says it has.
  Shape shape() const {
    const RawTensor& said = part("shape");
    require(said.type == TensorType::u32 && said.shape.rank() == 1 && said.elements() >= 1 && said.elements() <= 3 &&
                said.bytes.size() == size_t(said.elements()) * 4,
            ErrorCode::corrupt, "{} is {} {}, but must be one to three numbers u32", said.source,
            tensor_type_info(said.type).name, said.shape.text());
    uint32_t n[3] = {};
    std::memcpy(n, said.bytes.data(), said.bytes.size());
    int64_t elements = 1;
    for (int64_t i = 0; i < said.elements(); ++i) elements = checked_mul(elements, int64_t(n[i]), said.source);
    const int64_t a = n[0], b = n[1], c = n[2];
    return said.elements() == 1 ? Shape{a} : said.elements() == 2 ? Shape{a, b} : Shape{a, b, c};
  }
};

/// The weight as blocks of that type.
RawTensor of_blocks(const Layer& layer, TensorType type) {
  RawTensor out = layer.renamed("", "weight");
  require(out.type == TensorType::u8, ErrorCode::corrupt, "{} is of {}, but blocks must be of u8", out.source,
          tensor_type_info(out.type).name);
  out.type = type, out.shape = layer.shape();
  const int64_t needed = checked_mul(out.rows(), row_bytes(type, out.columns(), out.source), out.source);
  require(int64_t(out.bytes.size()) == needed, ErrorCode::corrupt, "{}: {} of {} takes {} bytes, but there are {}", out.source,
          out.shape.text(), tensor_type_info(type).name, needed, out.bytes.size());
  return out;
}

RawTensor of_gguf(const Layer& layer) {
  const auto id = number_of<uint32_t>(layer.part("dtype"), TensorType::u32);
  const TensorTypeInfo* info = find_ggml_type(id);
  require(info != nullptr, ErrorCode::unsupported, "{}: ggml has no type {}", layer.part("dtype").source, id);
  return of_blocks(layer, info->type);
}

RawTensor of_f8q8(const Layer& layer) {
  const RawTensor& weight = layer.part("");
  const int64_t columns = layer.shape()[-1];
  require(
      columns % 32 == 0, ErrorCode::unsupported,
      "{}: rows of {} columns are no whole blocks of 32, which then run from row to row; write the layer as q8_0 or unquantized",
      weight.source, columns);
  return of_blocks(layer, TensorType::f8q8);
}

template <class T>
RawTensor made_of(const Layer& layer, std::string_view name, TensorType type, const Shape& shape, const std::vector<T>& values) {
  RawTensor out = layer.renamed("", name);
  auto bytes = std::make_shared<std::vector<std::byte>>(values.size() * sizeof(T));
  std::memcpy(bytes->data(), values.data(), bytes->size());
  out.type = type, out.shape = shape, out.bytes = *bytes, out.owner = std::move(bytes);
  return out;
}

/// The bits that a layer says its codes have.
int64_t bits_of(const Layer& layer, std::initializer_list<int> known) {
  const RawTensor& said = layer.part("bits");
  const int bits = number_of<uint8_t>(said, TensorType::u8);
  require(std::ranges::find(known, bits) != known.end(), ErrorCode::unsupported, "{} is {}; read are codes of {} bits",
          said.source, bits, fmt::join(known, ", "));
  return bits;
}

std::vector<RawTensor> of_hqq(const Layer& layer) {
  const Shape shape = layer.shape();
  require(shape.rank() == 2, ErrorCode::unsupported,
          "{}: HQQ of {} is not read, only of matrices; stacked experts it has no form for", layer.part("").source, shape.text());
  require(number_of<uint8_t>(layer.part("channel_wise"), TensorType::u8) == 1, ErrorCode::unsupported,
          "{}: HQQ under one scale for all is not read; take groups", layer.part("").source);
  const RawTensor& codes = layer.part("");
  const int64_t bits = bits_of(layer, {1, 2, 3, 4, 8}), together = bits == 3 ? 10 : 8 / bits;
  require(codes.shape.rank() == 2 && codes.elements() >= ceil_div(shape.elements(), together), ErrorCode::corrupt,
          "{} is {}, too little for {} of {} bits each", codes.source, codes.shape.text(), shape.text(), bits);
  return {layer.renamed("", "W_q"),
          layer.renamed("scales", "scale"),
          layer.renamed("zeros", "zero"),
          layer.renamed("bits", "nbits"),
          layer.renamed("axis", "axis"),
          layer.renamed("group_size", "group_size"),
          made_of<int64_t>(layer, "shape", TensorType::i64, {2}, {shape[0], shape[1]})};
}

std::vector<RawTensor> of_fp8(const Layer& layer) {
  RawTensor weight = layer.renamed("", "weight");
  require(weight.type == TensorType::f8_e4m3 || weight.type == TensorType::f8_e5m2, ErrorCode::corrupt,
          "{} is of {}, but FP8 must be of f8_e4m3 or f8_e5m2", weight.source, tensor_type_info(weight.type).name);
  const RawTensor& scale = layer.part("dequant_w_scale");
  require(scale.elements() == 1, ErrorCode::corrupt, "{} is {}, but must be one number", scale.source, scale.shape.text());
  return {std::move(weight), layer.renamed("dequant_w_scale", "weight_scale")};
}

std::vector<RawTensor> of_afq(const Layer& layer) {
  const RawTensor &weight = layer.part(""), &scales = layer.part("scales"), &size = layer.part("group_size");
  const int64_t bits = bits_of(layer, {2, 3, 4, 5, 6, 8}), group = number_of<uint8_t>(size, TensorType::u8);
  require(weight.shape.rank() >= 2 && scales.shape.rank() == weight.shape.rank() &&
              checked_mul(weight.columns(), 32, weight.source) == checked_mul(scales.columns(), bits * group, scales.source),
          ErrorCode::corrupt, "{} is {} and {} is {}: with groups of {} these are no codes of {} bits", weight.source,
          weight.shape.text(), scales.source, scales.shape.text(), group, bits);
  return {layer.renamed("", "weight"), layer.renamed("scales", "scales"), layer.renamed("biases", "biases"),
          layer.renamed("group_size", "group_size")};
}

std::vector<RawTensor> parts_of(const Layer& layer, Family family) {
  switch (family) {
    case Family::gguf:
      return {of_gguf(layer)};
    case Family::plain:
      return {layer.renamed("", "weight")};
    case Family::hqq:
      return of_hqq(layer);
    case Family::fp8:
      return of_fp8(layer);
    case Family::afq:
      return of_afq(layer);
    case Family::f8q8:
      return {of_f8q8(layer)};
    case Family::mxfp4:
      return {layer.renamed("", "blocks"), layer.renamed("scales", "scales")};
  }
  fail(ErrorCode::unsupported,
       "{} is {}; families of UQFF layers are 0 (GGUF), 1 (plain), 2 (HQQ), 3 (FP8), 4 (AFQ), 5 (F8Q8) and 6 (MXFP4)",
       layer.part("format").source, int(family));
}

/// Parts of a stack of experts as those of each: "<...>.experts.up_proj" -> "<...>.experts.7.up_proj". What is one number is
/// everybody's.
void split_experts(const Layer& layer, std::vector<RawTensor> parts, std::vector<RawTensor>& out) {
  const size_t dot = layer.key.rfind('.');
  const int64_t experts = parts.front().shape[0];
  require(experts > 0 && dot != std::string::npos, ErrorCode::corrupt, "{} is {}, which is no stack of experts",
          parts.front().source, parts.front().shape.text());
  require(!parts.front().bytes.empty(), ErrorCode::corrupt, "{} is {}: a stack of experts without weights", parts.front().source,
          parts.front().shape.text());  // its shape could name any number of them
  for (const RawTensor& part : parts) {
    const bool stacked = part.shape.rank() == 3 && part.shape[0] == experts;
    require(stacked || part.elements() == 1, ErrorCode::corrupt, "{} is {}, but {} has {} experts", part.source,
            part.shape.text(), layer.key, experts);
    const size_t bytes = part.bytes.size() / size_t(experts);
    for (int64_t e = 0; e < experts; ++e) {
      RawTensor own = part;
      own.name = fmt::format("{}.{}{}", layer.key.substr(0, dot), e, part.name.substr(dot));
      if (stacked) {
        own.source += fmt::format(", expert {}", e);
        own.shape = {part.shape[1], part.shape[2]};
        own.bytes = part.bytes.subspan(size_t(e) * bytes, bytes);
      }
      out.push_back(std::move(own));
    }
  }
}

void check_version(const std::vector<RawTensor>& tensors, std::string_view name) {
  const auto numeric = [](const RawTensor& t) {
    return std::ranges::all_of(t.name, [](char c) { return c >= '0' && c <= '9'; });
  };
  require(tensors.empty() || !std::ranges::all_of(tensors, numeric), ErrorCode::unsupported,
          "{} is a UQFF file of before 1.0; make it again with a newer `mistralrs quantize`", name);
  std::optional<uint32_t> version[3];
  constexpr std::string_view kParts[] = {"major", "minor", "patch"};
  for (const RawTensor& tensor : tensors)
    for (size_t i = 0; i < 3; ++i)
      if (tensor.name.starts_with(kVersion) && tensor.name.substr(kVersion.size()) == kParts[i]) {
        const auto value = number_of<uint32_t>(tensor, TensorType::u32);
        require(!version[i] || *version[i] == value, ErrorCode::corrupt, "{}: shards are of different versions ({} and {} of {})",
                name, *version[i], value, tensor.name);
        version[i] = value;
      }
  require(version[0] && version[1] && version[2], ErrorCode::unsupported,
          "{} has no tensors \"uqff.version.major\", \".minor\" and \".patch\": it is no UQFF file of 1.0 or later; make it "
          "again with a "
          "newer `mistralrs quantize`",
          name);
  require(*version[0] == kMajor && *version[1] <= kMinor, ErrorCode::unsupported, "{} is UQFF {}.{}.{}; read is {}.0 to {}.{}",
          name, *version[0], *version[1], *version[2], kMajor, kMajor, kMinor);
}

/// "q4k" and 1 of "q4k-1.uqff"; nullopt for a file that is no shard.
std::optional<std::pair<std::string, int>> shard_of(std::string_view name) {
  if (!name.ends_with(kEnd)) return std::nullopt;
  name.remove_suffix(kEnd.size());
  const size_t dash = name.rfind('-');
  if (dash == name.npos) return std::nullopt;
  int number = -1;
  const char* end = name.data() + name.size();
  const auto [after, error] = std::from_chars(name.data() + dash + 1, end, number);
  if (error != std::errc() || after != end || number < 0) return std::nullopt;
  return std::pair(std::string(name.substr(0, dash)), number);
}

/// The layer that the tensor hangs on, by its format tag, and what it is there.
std::optional<std::pair<std::string, std::string>> layer_of(const std::map<std::string, const RawTensor*, std::less<>>& tags,
                                                            const std::string& name) {
  constexpr std::string_view kWeight = ".weight";
  for (size_t at = name.rfind(kWeight); at != name.npos; at = at == 0 ? name.npos : name.rfind(kWeight, at - 1)) {
    const std::string_view tail = std::string_view(name).substr(at + kWeight.size());
    if ((tail.empty() || tail.front() == '.') && tags.contains(std::string_view(name).substr(0, at)))
      return std::pair(name.substr(0, at), std::string(tail.empty() ? tail : tail.substr(1)));
  }
  return std::nullopt;
}

}  // namespace

std::vector<RawTensor> translate_uqff(std::vector<RawTensor> tensors, std::string_view name) {
  check_version(tensors, name);
  std::map<std::string, const RawTensor*, std::less<>> tags;
  for (const RawTensor& tensor : tensors)
    if (tensor.name.ends_with(kFormat)) tags[tensor.name.substr(0, tensor.name.size() - kFormat.size())] = &tensor;
  std::vector<RawTensor> out;
  std::map<std::string, Layer, std::less<>> layers;
  for (const RawTensor& tensor : tensors) {
    if (tensor.name.starts_with(kVersion)) continue;
    const auto at = layer_of(tags, tensor.name);
    if (!at) {
      out.push_back(tensor);
      continue;
    }
    Layer& layer = layers[at->first];
    layer.key = at->first;
    require(layer.parts.emplace(at->second, tensor).second, ErrorCode::corrupt, "{}: there are two of it", tensor.source);
  }
  for (const auto& [key, layer] : layers) {
    std::vector<RawTensor> parts = parts_of(layer, Family(number_of<uint8_t>(layer.part("format"), TensorType::u8)));
    if (parts.size() > 1 && parts.front().shape.rank() == 3)
      split_experts(layer, std::move(parts), out);
    else
      std::ranges::move(parts, std::back_inserter(out));
  }
  return out;
}

std::vector<std::string> uqff_sets(std::span<const std::string> names) {
  std::map<std::string, std::string> sets;
  for (const std::string& name : names)
    if (const auto shard = shard_of(name)) {
      const auto [first, added] = sets.emplace(shard->first, name);
      if (!added && shard->second < shard_of(first->second)->second) first->second = name;
    } else if (name.ends_with(kEnd)) {
      sets.emplace(name, name);
    }
  std::vector<std::string> out;
  for (const auto& [stem, first] : sets) out.push_back(first);
  return out;
}

std::vector<RawTensor> open_uqff(const fs::path& file, std::vector<fs::path>& read) {
  std::vector<RawTensor> tensors;
  const auto add = [&](const fs::path& path) {
    require(fs::exists(path), ErrorCode::not_found, "{} is not there; the UQFF file {} is of the same set and needs it beside it",
            path.string(), file.filename().string());
    read.push_back(path);
    for (RawTensor& tensor : open_safetensors(path)) tensors.push_back(std::move(tensor));
  };
  if (const auto shard = shard_of(file.filename().string())) {
    int last = shard->second;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(file.has_parent_path() ? file.parent_path() : ".", error))
      if (const auto other = shard_of(entry.path().filename().string()); other && other->first == shard->first)
        last = std::max(last, other->second);
    for (int n = 0; n <= last; ++n) add(file.parent_path() / fmt::format("{}-{}{}", shard->first, n, kEnd));
  } else {
    add(file);
  }
  tensors = translate_uqff(std::move(tensors), file.string());
  const fs::path residual = file.parent_path() / kResidual;
  require(fs::exists(residual), ErrorCode::not_found, "{} is not there; it holds what the UQFF file {} leaves unquantized",
          residual.string(), file.filename().string());
  read.push_back(residual);
  for (RawTensor& tensor : open_safetensors(residual)) tensors.push_back(std::move(tensor));
  return tensors;
}

}  // namespace gale
