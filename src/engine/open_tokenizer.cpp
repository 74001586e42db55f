#include "engine/open_tokenizer.h"

#include <algorithm>
#include <set>

#include "base/fail.h"
#include "base/json.h"
#include "base/log.h"
#include "checkpoint/gguf.h"
#include "engine/template_sources.h"
#include "engine/tokenizer_files.h"

namespace gale {
namespace {

std::optional<TokenId> token_id(const GgufFile& file, std::string_view key) {
  const auto id = file.integer(key);
  if (!id || *id < 0 || *id > INT32_MAX) return std::nullopt;
  return TokenId(*id);
}

struct KindName {
  const char* name;
  VocabSpec::Kind kind;
};
constexpr KindName kKinds[] = {
    {"gpt2", VocabSpec::Kind::byte_bpe},   {"llama", VocabSpec::Kind::sentencepiece_bpe},
    {"bert", VocabSpec::Kind::wordpiece},  {"t5", VocabSpec::Kind::unigram},
    {"rwkv", VocabSpec::Kind::rwkv},       {"wordlevel", VocabSpec::Kind::wordlevel},
    {"gemma4", VocabSpec::Kind::byte_bpe}, {"whitespace", VocabSpec::Kind::byte_bpe},
};

VocabSpec::Kind kind_of(std::string_view model) {
  for (const KindName& k : kKinds)
    if (model == k.name) return k.kind;
  fail(ErrorCode::unsupported,
       "tokenizer.ggml.model \"{}\" is not known; gpt2 (byte-level BPE), llama (sentencepiece BPE), bert (WordPiece), t5 "
       "(Unigram), "
       "rwkv, gemma4, whitespace and wordlevel are",
       model);
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Files from before tokenizer.ggml.add_bos_token: sentencepiece and WordPiece add it, and so do the byte-level families that need
// it.
bool adds_bos_by_default(const VocabSpec& spec) {
  if (spec.kind != VocabSpec::Kind::byte_bpe)
    return spec.kind == VocabSpec::Kind::sentencepiece_bpe || spec.kind == VocabSpec::Kind::wordpiece;
  return is_one_of(spec.pre, {"llama3", "llama-v3", "llama-bpe", "tekken", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
                              "chameleon", "gemma4", "granite-embed-multi-311m", "jina-v5-nano"});
}

// The same for the end: WordPiece's separator, T5's end, and RoBERTa's vocabularies.
bool adds_eos_by_default(const VocabSpec& spec) {
  if (spec.kind == VocabSpec::Kind::wordpiece || spec.kind == VocabSpec::Kind::unigram) return true;
  return spec.kind == VocabSpec::Kind::byte_bpe && is_one_of(spec.pre, {"jina-v1-en", "jina-v2-code", "roberta-bpe"});
}

void add_ids(const Json& config, std::set<int64_t>& out) {
  const auto found = config.find("eos_token_id");
  if (found == config.end()) return;
  if (found->is_number_integer()) out.insert(found->get<int64_t>());
  if (found->is_array())
    for (const Json& id : *found)
      if (id.is_number_integer()) out.insert(id.get<int64_t>());
}

void add_named(const Tokenizer& tokenizer, std::initializer_list<const char*> names, std::set<int64_t>& out) {
  for (const char* name : names)
    if (const auto id = tokenizer.find(name); id && tokenizer.is_special(*id)) out.insert(*id);
}

}  // namespace

VocabSpec vocab_spec(const GgufFile& file) {
  VocabSpec spec;
  const std::string* model = file.text("tokenizer.ggml.model");
  require(model != nullptr, ErrorCode::corrupt, "the GGUF has tokens but no tokenizer.ggml.model");
  spec.kind = kind_of(*model);
  if (*model == "gemma4" || *model == "whitespace") spec.pre = *model;
  if (const auto* pre = file.text("tokenizer.ggml.pre")) spec.pre = *pre;
  if (const auto* tokens = file.texts("tokenizer.ggml.tokens")) spec.tokens = *tokens;
  if (const auto* scores = file.numbers("tokenizer.ggml.scores"))
    for (const double score : *scores) spec.scores.push_back(float(score));
  if (const auto* types = file.integers("tokenizer.ggml.token_type"))
    for (const int64_t type : *types) spec.types.push_back(int32_t(type));
  if (const auto* merges = file.texts("tokenizer.ggml.merges")) spec.merges = *merges;
  spec.bos = token_id(file, "tokenizer.ggml.bos_token_id");
  spec.eos = token_id(file, "tokenizer.ggml.eos_token_id");
  spec.unk = token_id(file, "tokenizer.ggml.unknown_token_id");
  spec.pad = token_id(file, "tokenizer.ggml.padding_token_id");
  spec.cls = token_id(file, "tokenizer.ggml.cls_token_id");
  spec.sep = token_id(file, "tokenizer.ggml.seperator_token_id");
  if (!spec.sep) spec.sep = token_id(file, "tokenizer.ggml.separator_token_id");
  if (spec.kind == VocabSpec::Kind::wordpiece) {  // GGUF's names for the ends of a text
    if (!spec.bos) spec.bos = spec.cls;
    if (!spec.eos) spec.eos = spec.sep;
  }
  spec.lowercase = file.boolean("tokenizer.ggml.normalizer.lowercase").value_or(spec.pre != "whitespace");
  spec.strip_accents = file.boolean("tokenizer.ggml.normalizer.strip_accents").value_or(spec.lowercase);
  spec.remove_extra_whitespaces = file.boolean("tokenizer.ggml.remove_extra_whitespaces").value_or(false);
  if (const auto* map = file.integers("tokenizer.ggml.precompiled_charsmap"))
    for (const int64_t byte : *map) spec.charsmap += char(byte);
  spec.add_bos = file.boolean("tokenizer.ggml.add_bos_token").value_or(adds_bos_by_default(spec)) && spec.bos.has_value();
  spec.add_eos = file.boolean("tokenizer.ggml.add_eos_token").value_or(adds_eos_by_default(spec)) && spec.eos.has_value();
  spec.add_space_prefix = file.boolean("tokenizer.ggml.add_space_prefix").value_or(true);
  return spec;
}

std::unique_ptr<Tokenizer> open_tokenizer(const Checkpoint& checkpoint) {
  if (const auto text = checkpoint.tokenizer_json()) return Tokenizer::from_json(*text);
  const GgufFile* file = checkpoint.gguf();
  if (file == nullptr) return open_tokenizer_files(checkpoint.path());
  if (file->texts("tokenizer.ggml.tokens") == nullptr) return nullptr;
  return Tokenizer::from_vocab(vocab_spec(*file));
}

std::unique_ptr<ChatTemplate> open_chat_template(const Checkpoint& checkpoint, const std::string& file) {
  const Json variables = template_variables(checkpoint);
  if (!file.empty()) return std::make_unique<ChatTemplate>(ChatTemplate::parse(read_template_file(file), variables));
  const auto sources = template_sources(checkpoint);
  if (sources.empty()) return nullptr;
  try {
    return std::make_unique<ChatTemplate>(ChatTemplate::parse(sources, variables));
  } catch (const Error& e) {
    log_warning("{}: the chat template is left out: {}", checkpoint.path().string(), e.what());
    return nullptr;
  }
}

std::vector<int32_t> end_tokens(const Checkpoint& checkpoint, const Tokenizer* tokenizer, int64_t vocab) {
  std::set<int64_t> ids;
  add_ids(checkpoint.generation_config(), ids);
  add_ids(checkpoint.config(), ids);
  const GgufFile* file = checkpoint.gguf();
  if (file != nullptr)
    for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
      if (const auto id = token_id(*file, key)) ids.insert(*id);
  const bool no_turn = file != nullptr && !file->integer("tokenizer.ggml.eot_token_id");
  if (tokenizer != nullptr && (ids.empty() || no_turn))
    add_named(*tokenizer, {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|eom_id|>", "<|return|>"}, ids);
  if (tokenizer != nullptr && ids.empty()) add_named(*tokenizer, {"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"}, ids);
  std::vector<int32_t> out;
  for (const int64_t id : ids)
    if (id >= 0 && id < vocab) out.push_back(int32_t(id));
  return out;
}

}  // namespace gale
