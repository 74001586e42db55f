#include "engine/tokenizer_files.h"

#include <algorithm>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/parse_json.h"
#include "checkpoint/tokenizer_config.h"
#include "tokenizer/pre_names.h"
#include "tokenizer/rank_vocab.h"
#include "tokenizer/sentencepiece.h"

namespace gale {
namespace {

namespace fs = std::filesystem;

// What models with tiktoken files cut words by, which no file of theirs says.
std::string_view pattern_of(std::string_view tokenizer_class) {
  if (tokenizer_class == "QWenTokenizer") return word_pattern("qwen2");
  return word_pattern(tokenizer_class == "TikTokenTokenizer" ? "kimi-k2" : "llama3");  // Llama 3's is cl100k's
}

void add_specials(const Json& config, RankVocab& vocab) {
  const auto added = config.find("added_tokens_decoder");
  if (added == config.end() || !added->is_object()) return;
  for (const auto& [id, token] : added->items()) {
    const std::string text = config_token(token, "content");
    if (text.empty() || id.empty() || id.size() > 9 || id.find_first_not_of("0123456789") != std::string::npos) continue;
    vocab.specials.push_back({TokenId(std::stol(id)), text, !token.contains("special") || token["special"] == true});
  }
}

std::unique_ptr<Tokenizer> open_tiktoken(const fs::path& file, std::string_view text) {
  RankVocab vocab = read_tiktoken(text);
  Json config = Json::object();
  if (const fs::path beside = file.parent_path() / "tokenizer_config.json"; fs::exists(beside))
    config = parse_json_text(read_text(beside), beside.string());
  if (!config.is_object()) config = Json::object();
  add_specials(config, vocab);
  vocab.pattern = pattern_of(config_token(config, "tokenizer_class"));
  for (const auto& s : vocab.specials) {
    if (s.text == config_token(config, "bos_token")) vocab.bos = s.id;
    if (s.text == config_token(config, "eos_token")) vocab.eos = s.id;
    if (s.text == config_token(config, "pad_token")) vocab.pad = s.id;
  }
  const auto add_bos = config.find("add_bos_token");
  vocab.add_bos = add_bos != config.end() && add_bos->is_boolean() && add_bos->get<bool>();
  return make_tokenizer(std::move(vocab));
}

// Both kinds of files are called tokenizer.model; tiktoken's are plain text.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.begin() + long(std::min<size_t>(text.size(), 64)),
                     [](char c) { return c == '\n' || c == '\r' || (c >= ' ' && c < 0x7f); });
}

std::unique_ptr<Tokenizer> open_file(const fs::path& file) {
  const std::string text = read_text(file);
  const std::string name = file.filename().string();
  if (name == "tekken.json") return make_tokenizer(read_tekken(text));
  if (file.extension() == ".json") return Tokenizer::from_json(text);
  if (is_plain(text)) return open_tiktoken(file, text);
  return Tokenizer::from_vocab(read_sentencepiece(text));
}

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer_files(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) {
    const std::string kind = path.extension().string();
    return kind == ".json" || kind == ".model" || kind == ".tiktoken" ? open_file(path) : nullptr;
  }
  if (!fs::is_directory(path, ignored)) return nullptr;
  for (const char* name : {"tokenizer.json", "tekken.json", "tokenizer.model", "spiece.model", "tiktoken.model"})
    if (fs::exists(path / name, ignored)) return open_file(path / name);
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(path, ignored))
    if (entry.path().extension() == ".tiktoken") others.push_back(entry.path());
  std::sort(others.begin(), others.end());
  return others.empty() ? nullptr : open_file(others.front());
}

}  // namespace gale
