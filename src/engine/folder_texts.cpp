#include "engine/folder_texts.h"

#include <algorithm>
#include <cmath>

#include "base/fail.h"
#include "base/half.h"
#include "checkpoint/gguf.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/json_file.h"
#include "checkpoint/packed_file.h"
#include "engine/open_tokenizer.h"
#include "engine/template_sources.h"
#include "tokenizer/json_export.h"

namespace gale {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCopied[] = {"generation_config.json",
                                   "tokenizer.json",
                                   "tokenizer_config.json",
                                   "special_tokens_map.json",
                                   "added_tokens.json",
                                   "tokenizer.model",
                                   "spiece.model",
                                   "tekken.json",
                                   "tiktoken.model",
                                   "vocab.json",
                                   "merges.txt",
                                   "chat_template.jinja",
                                   "chat_template.json",
                                   "processor_config.json"};

// The folder that a source of safetensors lies in.
fs::path folder_of(const Checkpoint& source) {
  std::error_code none;
  return fs::is_directory(source.path(), none) ? source.path() : source.path().parent_path();
}

bool has_files(const Checkpoint& source) {
  return source.gguf() == nullptr && source.packed() == nullptr && !source.files().empty();
}

Json config_of(const Checkpoint& source) {
  std::error_code none;
  const fs::path file = folder_of(source) / "config.json";
  Json out = has_files(source) && fs::is_regular_file(file, none) ? read_json(file) : source.config();
  for (const char* key : {"quantization", "quantization_config"}) out.erase(key);
  return out;
}

// A GGUF has llama3's scaling of rope as factors, files of a folder as the numbers that these come from.
void add_rope_scaling(const Checkpoint& source, Json& config) {
  const RawTensor* factors = source.find("rope_freqs.weight");
  if (factors == nullptr || !rope_factors(config).empty()) return;
  std::vector<float> values(size_t(factors->elements()));
  std::memcpy(values.data(), factors->bytes.data(), std::min(factors->bytes.size(), values.size() * sizeof(float)));
  const float most = values.empty() ? 1 : *std::ranges::max_element(values);
  for (const double factor : {double(most), double(std::nearbyint(most))}) {
    Json trial = config;
    trial["rope_scaling"] = {{"rope_type", "llama3"},
                             {"factor", factor},
                             {"low_freq_factor", 1.0},
                             {"high_freq_factor", 4.0},
                             {"original_max_position_embeddings", 8192}};
    const std::vector<float> again = rope_factors(trial);
    if (factors->type == TensorType::f32 &&
        std::ranges::equal(again, values, [](float a, float b) { return std::fabs(a - b) <= 1e-5f * b; })) {
      config = trial;
      return;
    }
  }
  fail(ErrorCode::unsupported,
       "{}: its factors of rope (rope_freqs.weight) are not those of llama3's scaling, and a folder has no other place for "
       "them; start from the model's own folder",
       source.path().string());
}

}  // namespace

FolderTexts::FolderTexts(const Checkpoint& source) : source_(source), config_(config_of(source)) {
  add_rope_scaling(source, config_);
  if (const GgufFile* file = source.gguf(); file != nullptr && file->texts("tokenizer.ggml.tokens") != nullptr)
    tokenizer_ = tokenizer_json(vocab_spec(*file));
  else if (source.packed() != nullptr)
    tokenizer_ = source.tokenizer_json().value_or("");
}

void FolderTexts::write(FolderWriter& out, const Json& config) const {
  out.text("config.json", config.dump(2) + "\n");
  if (!has_files(source_)) return write_made(out);
  std::error_code none;
  for (const char* name : kCopied)
    if (const fs::path file = folder_of(source_) / name; fs::is_regular_file(file, none)) out.copy(file);
  for (const auto& entry : fs::directory_iterator(folder_of(source_), none))
    if (entry.path().extension() == ".tiktoken") out.copy(entry.path());
}

void FolderTexts::write_made(FolderWriter& out) const {
  if (!source_.generation_config().empty()) out.text("generation_config.json", source_.generation_config().dump(2) + "\n");
  if (tokenizer_.empty()) return;
  out.text("tokenizer.json", tokenizer_);
  Json config = source_.tokenizer_config().is_object() ? source_.tokenizer_config() : Json::object();
  if (!config.contains("tokenizer_class")) config["tokenizer_class"] = "PreTrainedTokenizerFast";
  for (const auto& [name, text] : {std::pair("bos_token", source_.bos_token()), {"eos_token", source_.eos_token()}})
    if (!text.empty() && !config.contains(name)) config[name] = text;
  Json templates = Json::array();
  for (const NamedTemplate& t : template_sources(source_)) templates.push_back({{"name", t.name}, {"template", t.source}});
  if (templates.size() == 1 && templates[0]["name"] == "default")
    config["chat_template"] = templates[0]["template"];
  else if (!templates.empty())
    config["chat_template"] = templates;
  out.text("tokenizer_config.json", config.dump(2) + "\n");
}

}  // namespace gale
