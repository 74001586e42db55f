#include "engine/export_metadata.h"

#include <algorithm>

#include "base/fail.h"
#include "base/json.h"
#include "engine/open_tokenizer.h"
#include "engine/template_sources.h"

namespace gale {
namespace {

using Width = GgufWriter::Width;

// llama.cpp's numbers for what a file is made of (enum llama_ftype).
constexpr std::pair<std::string_view, int64_t> kFileTypes[] = {
    {"f32", 0},     {"f16", 1},      {"q4_0", 2},    {"q4_1", 3},    {"q8_0", 7},     {"q5_0", 8},
    {"q5_1", 9},    {"q2_k", 10},    {"q3_k", 11},   {"q3_k_s", 11}, {"q3_k_m", 12},  {"q3_k_l", 13},
    {"q4_k", 14},   {"q4_k_s", 14},  {"q4_k_m", 15}, {"q5_k", 16},   {"q5_k_s", 16},  {"q5_k_m", 17},
    {"q6_k", 18},   {"iq2_xxs", 19}, {"iq2_xs", 20}, {"q2_k_s", 21}, {"iq3_xxs", 23}, {"iq1_s", 24},
    {"iq4_nl", 25}, {"iq3_s", 26},   {"iq2_s", 28},  {"iq4_xs", 30}, {"iq1_m", 31},   {"bf16", 32},
    {"tq1_0", 36},  {"tq2_0", 37},   {"mxfp4", 38},  {"nvfp4", 39},  {"q1_0", 40},    {"q2_0", 41},
};

std::string model_name(const Checkpoint& source) {
  if (const GgufFile* file = source.gguf())
    if (const std::string* name = file->text("general.name")) return *name;
  const std::filesystem::path path = source.path();
  return (path.has_filename() ? path.filename() : path.parent_path().filename()).string();
}

void set_id(GgufWriter& writer, const char* key, std::optional<TokenId> id) {
  if (id) writer.set(fmt::format("tokenizer.ggml.{}_token_id", key), int64_t(*id), Width::u32);
}

// The token that ends a turn, where it is not the one that ends a text.
void set_end_of_turn(GgufWriter& writer, const Checkpoint& source, const Tokenizer& tokenizer, std::optional<TokenId> eos) {
  const auto ends = end_tokens(source, &tokenizer, tokenizer.vocab_size());
  for (const char* name : {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>"})
    if (const auto id = tokenizer.find(name); id && id != eos && std::find(ends.begin(), ends.end(), *id) != ends.end())
      return set_id(writer, "eot", id);
}

}  // namespace

void set_general(GgufWriter& writer, const Checkpoint& source, std::string_view type) {
  writer.set("general.type", std::string("model"), Width::string);
  writer.set("general.name", model_name(source), Width::string);
  for (const auto& [name, number] : kFileTypes)
    if (name == type) writer.set("general.file_type", number, Width::u32);
  writer.set("general.quantization_version", int64_t(2), Width::u32);
}

void set_vocab(GgufWriter& writer, const VocabSpec& spec, int64_t rows) {
  const bool bytes = spec.kind == VocabSpec::Kind::byte_bpe;
  std::vector<std::string> tokens = spec.tokens;
  std::vector<int64_t> types(spec.types.begin(), spec.types.end());
  std::vector<double> scores(spec.scores.begin(), spec.scores.end());
  types.resize(tokens.size(), VocabSpec::normal);
  while (int64_t(tokens.size()) < rows) {
    tokens.push_back(fmt::format("[PAD{}]", tokens.size()));
    types.push_back(VocabSpec::unused);
    if (!scores.empty()) scores.push_back(-1e4);
  }
  writer.set("tokenizer.ggml.model", std::string(bytes ? "gpt2" : "llama"), Width::string);
  writer.set("tokenizer.ggml.pre", spec.pre.empty() ? std::string("default") : spec.pre, Width::string);
  writer.set("tokenizer.ggml.tokens", std::move(tokens), Width::string_array);
  writer.set("tokenizer.ggml.token_type", std::move(types), Width::i32_array);
  if (!scores.empty()) writer.set("tokenizer.ggml.scores", std::move(scores), Width::f32_array);
  if (!spec.merges.empty()) writer.set("tokenizer.ggml.merges", spec.merges, Width::string_array);
  set_id(writer, "bos", spec.bos);
  set_id(writer, "eos", spec.eos);
  set_id(writer, "unknown", spec.unk);
  set_id(writer, "padding", spec.pad);
  writer.set("tokenizer.ggml.add_bos_token", spec.add_bos, Width::boolean);
  writer.set("tokenizer.ggml.add_eos_token", spec.add_eos, Width::boolean);
  writer.set("tokenizer.ggml.add_space_prefix", spec.add_space_prefix, Width::boolean);
}

void set_tokenizer(GgufWriter& writer, const Checkpoint& source) {
  if (const GgufFile* file = source.gguf()) {
    for (const auto& [key, value] : file->metadata())
      if (key.starts_with("tokenizer.")) writer.set(key, value, GgufWriter::usual_width(value));
    return;
  }
  std::vector<std::string> names;
  for (const NamedTemplate& t : template_sources(source)) {
    const bool only = t.name == "default";
    writer.set(only ? "tokenizer.chat_template" : "tokenizer.chat_template." + t.name, t.source, Width::string);
    if (!only) names.push_back(t.name);
  }
  if (!names.empty()) writer.set("tokenizer.chat_templates", std::move(names), Width::string_array);
  const auto tokenizer = open_tokenizer(source);
  if (!tokenizer)
    return writer.set("tokenizer.ggml.model", std::string("no_vocab"), Width::string);  // other engines insist on one
  VocabSpec spec = tokenizer->vocab();
  // A config that names one end token knows better than a tokenizer.json, which has no field for it.
  if (!spec.eos && !source.eos_token().empty()) spec.eos = tokenizer->find(source.eos_token());
  if (!spec.bos && !source.bos_token().empty()) spec.bos = tokenizer->find(source.bos_token());
  if (const auto ends = end_tokens(source, tokenizer.get(), tokenizer->vocab_size()); !spec.eos && !ends.empty())
    spec.eos = ends.front();
  const RawTensor* embedding = source.find("model.embed_tokens.weight");
  set_vocab(writer, spec, embedding ? embedding->rows() : 0);
  set_end_of_turn(writer, source, *tokenizer, spec.eos);
}

}  // namespace gale
