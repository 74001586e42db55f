#include <algorithm>
#include <charconv>

#include "base/fail.h"
#include "base/json.h"
#include "checkpoint/checkpoint_builder.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_names.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_experts.h"
#include "checkpoint/json_file.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/uqff.h"

namespace gale {
namespace fs = std::filesystem;
namespace {

/// Names of the files in `directory` that `wanted` accepts, sorted.
template <class Wanted>
std::vector<std::string> list_files(const fs::path& directory, Wanted&& wanted) {
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error))
    if (std::string name = entry.path().filename().string(); wanted(std::string_view(name))) names.push_back(std::move(name));
  require(!error, ErrorCode::not_found, "cannot read the folder {}: {}", directory.string(), error.message());
  std::sort(names.begin(), names.end());
  return names;
}

std::string join(const std::vector<std::string>& names) {
  constexpr size_t kShown = 20;
  std::string out;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) out += (i ? ", " : "") + names[i];
  return names.size() > kShown ? out + fmt::format(" and {} more", names.size() - kShown) : out;
}

/// The N of "...-00002-of-0000N<extension>" and its own number, or {0, 0}.
std::pair<int, int> shard_numbers(std::string_view name, std::string_view extension) {
  constexpr size_t kTail = 15;  // "-00001-of-00003"
  name.remove_suffix(extension.size());
  if (name.size() <= kTail) return {0, 0};
  const std::string_view tail = name.substr(name.size() - kTail);
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-") return {0, 0};
  int number = 0, count = 0;
  const bool ok = std::from_chars(tail.data() + 1, tail.data() + 6, number).ptr == tail.data() + 6 &&
                  std::from_chars(tail.data() + 10, tail.data() + 15, count).ptr == tail.data() + 15;
  return ok ? std::pair(number, count) : std::pair(0, 0);
}

/// Every tensor of a folder's safetensors: one file, an index, or a complete numbered set without its index. `read` gets the
/// files that were read.
std::vector<RawTensor> read_folder(const fs::path& directory, const std::vector<std::string>& files,
                                   std::vector<fs::path>& read) {
  const auto one = [&](const fs::path& path) {
    read.push_back(path);
    return open_safetensors(path);
  };
  if (fs::exists(directory / "model.safetensors")) return one(directory / "model.safetensors");
  if (const fs::path index = directory / "model.safetensors.index.json"; fs::exists(index))
    return open_safetensors_index(index, &read);
  if (files.size() == 1 && shard_numbers(files[0], ".safetensors").second <= 1) return one(directory / files[0]);
  std::vector<RawTensor> tensors;
  for (size_t i = 0; i < files.size(); ++i) {
    const auto [number, count] = shard_numbers(files[i], ".safetensors");
    require(size_t(count) == files.size() && size_t(number) == i + 1, ErrorCode::not_found,
            "{} has neither model.safetensors nor model.safetensors.index.json, and its files ({}) are no complete numbered set; "
            "download what is missing or name one file",
            directory.string(), join(files));
    for (RawTensor& tensor : one(directory / files[i])) tensors.push_back(std::move(tensor));
  }
  return tensors;
}

[[noreturn]] void nothing_there(const fs::path& directory) {
  const auto pickles = list_files(
      directory, [](std::string_view name) { return name.ends_with(".bin") || name.ends_with(".pth") || name.ends_with(".pt"); });
  if (!pickles.empty())
    fail(
        ErrorCode::unsupported,
        "{} has only pickled weights ({}), which can run code when they are read; convert them to safetensors, for instance with "
        "transformers: AutoModelForCausalLM.from_pretrained(...).save_pretrained(..., safe_serialization=True)",
        directory.string(), join(pickles));
  const auto all = list_files(directory, [](std::string_view) { return true; });
  fail(ErrorCode::not_found,
       "{} holds no model: looked for model.safetensors, model.safetensors.index.json, *.safetensors, *.uqff and *.gguf; the "
       "folder {}",
       directory.string(), all.empty() ? "is empty" : "has " + join(all));
}

Json config_of(const fs::path& directory) {
  const fs::path file = directory / "config.json";
  require(fs::exists(file), ErrorCode::not_found,
          "{} has weights but no config.json, which says what model they are; copy it from where the weights came from",
          directory.string());
  return read_json(file);
}

/// AutoGPTQ of old says how weights are quantized in a file of its own.
constexpr const char* kQuantizeConfig = "quantize_config.json";

void add_quantize_config(Json& config, const fs::path& directory) {
  const fs::path file = directory / kQuantizeConfig;
  if (!config.is_object() || config.contains("quantization_config") || config.contains("quantization") || !fs::exists(file))
    return;
  Json own = read_json(file);
  require(own.is_object(), ErrorCode::corrupt, "{} is a {}, expected an object", file.string(), own.type_name());
  if (!own.contains("quant_method")) own["quant_method"] = "gptq";
  config["quantization_config"] = std::move(own);
}

/// An optional JSON file of a folder: {} where there is none.
std::shared_ptr<const Json> optional_json(const fs::path& path) {
  return std::make_shared<const Json>(fs::exists(path) ? read_json(path) : Json::object());
}

/// What tokenizer_config.json says, and of special tokens what only special_tokens_map.json says, as older files have it.
std::shared_ptr<const Json> read_tokenizer_config(const fs::path& directory) {
  auto config = optional_json(directory / "tokenizer_config.json");
  const auto special = optional_json(directory / "special_tokens_map.json");
  if (!config->is_object() || !special->is_object()) return config;
  Json out = *config;
  for (const auto& [name, token] : special->items())
    if (!out.contains(name) || out[name].is_null()) out[name] = token;
  return std::make_shared<const Json>(std::move(out));
}

/// What generation_config.json would say, from a GGUF's metadata.
Json gguf_generation_config(const GgufFile& file) {
  Json out = Json::object();
  const auto eos = file.integer("tokenizer.ggml.eos_token_id"), eot = file.integer("tokenizer.ggml.eot_token_id");
  if (const auto bos = file.integer("tokenizer.ggml.bos_token_id")) out["bos_token_id"] = *bos;
  if (eos && eot && *eos != *eot)
    out["eos_token_id"] = {*eos, *eot};
  else if (eos || eot)
    out["eos_token_id"] = eos ? *eos : *eot;
  if (const auto pad = file.integer("tokenizer.ggml.padding_token_id")) out["pad_token_id"] = *pad;
  constexpr std::pair<const char*, const char*> kSampling[] = {{"general.sampling.temp", "temperature"},
                                                               {"general.sampling.top_k", "top_k"},
                                                               {"general.sampling.top_p", "top_p"},
                                                               {"general.sampling.min_p", "min_p"},
                                                               {"general.sampling.penalty_repeat", "repetition_penalty"}};
  for (const auto& [key, name] : kSampling)
    if (const auto value = file.number(key)) out[name] = *value;
  if (const auto top_k = file.integer("general.sampling.top_k")) out["top_k"] = *top_k;
  return out;
}

}  // namespace

std::shared_ptr<Checkpoint> CheckpointBuilder::start(const Path& path, Json config, std::vector<RawTensor> tensors) {
  std::shared_ptr<Checkpoint> out(new Checkpoint);
  out->path_ = path;
  out->config_source_ = path.string();
  out->config_ = std::make_shared<const Json>(std::move(config));
  out->generation_config_ = out->tokenizer_config_ = std::make_shared<const Json>(Json::object());
  out->tensors_ = std::move(tensors);
  out->index_.reserve(out->tensors_.size());
  for (size_t i = 0; i < out->tensors_.size(); ++i) {
    const auto [first, added] = out->index_.emplace(out->tensors_[i].name, i);
    require(added, ErrorCode::corrupt, "{} and {} are both named {}", out->tensors_[first->second].source,
            out->tensors_[i].source, out->tensors_[i].name);
    out->sorted_.push_back(&out->tensors_[i]);
  }
  std::ranges::sort(out->sorted_, {}, &RawTensor::name);
  return out;
}

CheckpointBuilder::Result CheckpointBuilder::assemble(const Path& path, Json config, std::vector<RawTensor> tensors) {
  normalize_config(config, path.string());
  normalize_experts(config, tensors);
  return start(path, std::move(config), std::move(tensors));
}

CheckpointBuilder::Result CheckpointBuilder::from_parts(const Path& path, const Path& directory, std::vector<RawTensor> tensors,
                                                        std::vector<Path> files) {
  Json config = config_of(directory);
  add_quantize_config(config, directory);
  return from_parts(path, directory, std::move(config), std::move(tensors), std::move(files));
}

CheckpointBuilder::Result CheckpointBuilder::from_parts(const Path& path, const Path& directory, Json config,
                                                        std::vector<RawTensor> tensors, std::vector<Path> files) {
  const Path file = directory / "config.json";
  normalize_config(config, file.string());
  normalize_experts(config, tensors);
  std::shared_ptr<Checkpoint> out = start(path, std::move(config), std::move(tensors));
  out->config_source_ = file.string();
  out->generation_config_ = optional_json(directory / "generation_config.json");
  out->tokenizer_config_ = read_tokenizer_config(directory);
  out->directory_ = directory;
  out->files_ = std::move(files);
  for (const char* name : {"config.json", kQuantizeConfig, "generation_config.json", "tokenizer_config.json",
                           "special_tokens_map.json", "tokenizer.json", "chat_template.jinja"})
    if (fs::exists(directory / name)) out->files_.push_back(directory / name);
  return out;
}

CheckpointBuilder::Result CheckpointBuilder::from_tokenizer(const Path& directory) {
  std::shared_ptr<Checkpoint> out = start(directory, Json::object(), {});
  out->tokenizer_config_ = read_tokenizer_config(directory);
  out->directory_ = directory;
  return out;
}

CheckpointBuilder::Result CheckpointBuilder::from_gguf(const Path& file) {
  std::shared_ptr<const GgufFile> gguf = GgufFile::open(file);
  GgufTranslation translation = translate_gguf(*gguf);
  Json config = *translation.config;
  normalize_experts(config, translation.tensors);
  // The translation is in the form of a normalized config, and says what the file says: no family's defaults apply.
  std::shared_ptr<Checkpoint> out = start(file, std::move(config), std::move(translation.tensors));
  out->generation_config_ = std::make_shared<const Json>(gguf_generation_config(*gguf));
  out->files_ = gguf->files();
  out->gguf_ = std::move(gguf);
  return out;
}

CheckpointBuilder::Result CheckpointBuilder::from_uqff(const Path& file, const Path& path) {
  std::vector<fs::path> read;
  std::vector<RawTensor> tensors = open_uqff(file, read);
  Json config = config_of(file.parent_path());  // the source model's: how that was quantized says nothing of these layers
  for (const char* key : {"quantization_config", "quantization"})
    if (config.is_object()) config.erase(key);
  return from_parts(path, file.parent_path(), std::move(config), std::move(tensors), std::move(read));
}

CheckpointBuilder::Result CheckpointBuilder::from_directory(const Path& directory) {
  const auto quantized = list_files(directory, [](std::string_view name) { return name.ends_with(".uqff"); });
  if (const auto sets = uqff_sets(quantized);
      !sets.empty() && !fs::exists(directory / "model.safetensors") && !fs::exists(directory / "model.safetensors.index.json")) {
    require(sets.size() == 1, ErrorCode::invalid_argument, "{} holds {} models, name one of them: {}", directory.string(),
            sets.size(), join(sets));
    return from_uqff(directory / sets[0], directory);
  }
  const auto weights = list_files(
      directory, [](std::string_view name) { return name.ends_with(".safetensors") && !name.starts_with("adapter_"); });
  if (!weights.empty() || fs::exists(directory / "model.safetensors.index.json")) {
    std::vector<fs::path> read;
    std::vector<RawTensor> tensors = read_folder(directory, weights, read);
    return from_parts(directory, directory, std::move(tensors), std::move(read));
  }
  // Later parts of a split file and image projectors are no models of their own.
  const auto ggufs = list_files(directory, [](std::string_view name) {
    return name.ends_with(".gguf") && !name.starts_with("mmproj") && shard_numbers(name, ".gguf").first <= 1;
  });
  if (ggufs.empty()) nothing_there(directory);
  require(ggufs.size() == 1, ErrorCode::invalid_argument, "{} holds {} models, name one of them: {}", directory.string(),
          ggufs.size(), join(ggufs));
  return from_gguf(directory / ggufs[0]);
}

std::shared_ptr<const Checkpoint> Checkpoint::open(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  require(
      fs::exists(status), ErrorCode::not_found,
      "{} does not exist; a model is a folder with config.json and safetensors, a .gguf file or a .safetensors file beside its "
      "config.json",
      path.string());
  if (fs::is_directory(status)) return CheckpointBuilder::from_directory(path);
  const std::string name = path.filename().string();
  if (name.ends_with(".gguf")) return CheckpointBuilder::from_gguf(path);
  if (name.ends_with(".uqff")) return CheckpointBuilder::from_uqff(path, path);
  if (name.ends_with(".gale")) return CheckpointBuilder::from_packed(path);
  if (name.ends_with(".safetensors"))
    return CheckpointBuilder::from_parts(path, path.parent_path(), open_safetensors(path), {path});
  if (name.ends_with(".safetensors.index.json")) {
    std::vector<fs::path> read;
    std::vector<RawTensor> tensors = open_safetensors_index(path, &read);
    return CheckpointBuilder::from_parts(path, path.parent_path(), std::move(tensors), std::move(read));
  }
  if (name == "config.json") return CheckpointBuilder::from_directory(path.parent_path());
  fail(ErrorCode::unsupported, "{} is neither a folder nor a .gguf, .safetensors, .uqff or .gale file", path.string());
}

std::shared_ptr<const Checkpoint> Checkpoint::open_text(const fs::path& folder) {
  if (fs::exists(folder / "config.json")) return CheckpointBuilder::from_parts(folder, folder, {}, {});
  return CheckpointBuilder::from_tokenizer(folder);
}

std::shared_ptr<const Checkpoint> Checkpoint::assemble(fs::path path, const Json& config, std::vector<RawTensor> tensors) {
  return CheckpointBuilder::assemble(path, config, std::move(tensors));
}

}  // namespace gale
