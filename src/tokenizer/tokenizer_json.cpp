#include <algorithm>
#include <unordered_map>

#include "base/fail.h"
#include "base/json.h"
#include "tokenizer/json_components.h"
#include "tokenizer/json_file.h"

namespace gale {
namespace json_file {

element member(const element& object, std::string_view key, bool& present) {
  element value;
  present = object[key].get(value) == simdjson::SUCCESS && !value.is_null();
  return value;
}

bool flag(const element& object, std::string_view key, std::string_view pointer, bool otherwise) {
  bool present = false, out = otherwise;
  const element value = member(object, key, present);
  require(!present || value.get(out) == simdjson::SUCCESS, ErrorCode::corrupt, "tokenizer.json: {}/{} is neither true nor false",
          pointer, key);
  return out;
}

std::string_view text(const element& object, std::string_view key, std::string_view pointer, std::string_view otherwise) {
  bool present = false;
  std::string_view out = otherwise;
  const element value = member(object, key, present);
  require(!present || value.get(out) == simdjson::SUCCESS, ErrorCode::corrupt, "tokenizer.json: {}/{} is no string", pointer,
          key);
  return out;
}

}  // namespace json_file

namespace {

using json_file::element;
using json_file::flag;
using json_file::member;
using json_file::text;
using simdjson::dom::element_type;

constexpr int kMaxDepth = 256;
constexpr size_t kMaxFile = size_t(1) << 30;
constexpr size_t kAhead = 16;  // texts whose slots are on their way while one is put in

// The small parts (normalizer and so on) as ordinary JSON.
Json small_json(const element& value, int depth = 0) {
  require(depth <= kMaxDepth, ErrorCode::unsupported, "tokenizer.json nests deeper than {} levels", kMaxDepth);
  switch (value.type()) {
    case element_type::ARRAY: {
      Json out = Json::array();
      for (const element item : simdjson::dom::array(value)) out.push_back(small_json(item, depth + 1));
      return out;
    }
    case element_type::OBJECT: {
      Json out = Json::object();
      for (const auto& [key, item] : simdjson::dom::object(value)) out[std::string(key)] = small_json(item, depth + 1);
      return out;
    }
    case element_type::INT64:
      return int64_t(value);
    case element_type::UINT64:
      return uint64_t(value);
    case element_type::DOUBLE:
      return double(value);
    case element_type::STRING:
      return std::string(std::string_view(value));
    case element_type::BOOL:
      return bool(value);
    case element_type::NULL_VALUE:
      break;
  }
  return nullptr;
}

enum class Type { bpe, unigram, wordpiece, wordlevel };

// Old files leave the type out.
Type model_type(const element& model) {
  bool merges = false, vocab = false, prefix = false;
  member(model, "merges", merges);
  const element texts = member(model, "vocab", vocab);
  member(model, "continuing_subword_prefix", prefix);
  const char* guess = merges                      ? "BPE"
                      : vocab && texts.is_array() ? "Unigram"
                      : prefix                    ? "WordPiece"
                      : vocab                     ? "WordLevel"
                                                  : "missing";
  const std::string_view type = text(model, "type", "/model", guess);
  if (type == "BPE") return Type::bpe;
  if (type == "Unigram") return Type::unigram;
  if (type == "WordPiece") return Type::wordpiece;
  if (type == "WordLevel") return Type::wordlevel;
  fail(ErrorCode::unsupported, "tokenizer.json: the model's type is '{}'; Gale knows BPE, Unigram, WordPiece and WordLevel",
       type);
}

class Reader {
 public:
  explicit Reader(const element& root) : root_(root) {}

  TokenizerParts read() {
    require(root_.is_object(), ErrorCode::corrupt, "tokenizer.json: the file is no JSON object");
    bool present = false;
    model_ = member(root_, "model", present);
    require(present && model_.is_object(), ErrorCode::corrupt, "tokenizer.json: no object at /model");
    const Type type = model_type(model_);
    const bool affixes = !text(model_, "continuing_subword_prefix", "/model", "").empty() ||
                         !text(model_, "end_of_word_suffix", "/model", "").empty();
    parts_.normalizer = parse_normalizer(part("normalizer"));
    // A letter that is missing becomes byte tokens of the letter, not of the byte.
    const bool fallback = flag(model_, "byte_fallback", "/model");
    parts_.pre = parse_pre_tokenizer(part("pre_tokenizer"), type == Type::bpe && !affixes && !fallback);
    parts_.decoder = parse_decoder(part("decoder"));
    type == Type::unigram ? read_list() : read_map();
    read_added();
    set_types();
    if (type == Type::bpe) read_bpe(model_, vocab_, parts_);
    if (type == Type::unigram) read_unigram(model_, vocab_, parts_);
    if (type == Type::wordpiece) read_wordpiece(model_, vocab_, parts_);
    if (type == Type::wordlevel) read_wordlevel(model_, vocab_, parts_);
    finish();
    return std::move(parts_);
  }

 private:
  Json part(std::string_view key) {
    bool present = false;
    const element value = member(root_, key, present);
    return present ? small_json(value) : Json();
  }

  void put(std::string_view text, TokenId id) {
    highest_ = std::max(highest_, id);
    if (size_t(id) >= vocab_.texts.size()) vocab_.texts.resize(std::max(size_t(id) + 1, vocab_.texts.size() * 2));
    vocab_.texts[size_t(id)] = text;
  }

  void read_map() {
    bool present = false;
    simdjson::dom::object vocab;
    const element value = member(model_, "vocab", present);
    require(present && value.get(vocab) == simdjson::SUCCESS, ErrorCode::corrupt, "tokenizer.json: no object at /model/vocab");
    require(vocab.size() > 0, ErrorCode::corrupt, "tokenizer.json: /model/vocab is empty");
    size_t count = 0;  // simdjson counts no further than 2^24 - 1
    for (const auto& item : vocab) (void)item, ++count;
    vocab_.ids = TextIndex(count);
    auto ahead = vocab.begin();
    for (size_t i = 0; i < std::min(count, kAhead); ++i) ++ahead;
    for (const auto& [key, item] : vocab) {
      if (ahead != vocab.end()) vocab_.ids.fetch((ahead++).key());
      int64_t id = -1;
      require(item.get(id) == simdjson::SUCCESS && id >= 0 && id < kMaxVocab, ErrorCode::corrupt,
              "tokenizer.json: the id of '{}' in /model/vocab is not a number from 0 to {}", key.substr(0, 80), kMaxVocab - 1);
      const TokenId before = vocab_.ids.set(key, TokenId(id));
      if (before >= 0)
        vocab_.texts[size_t(before)] = {};
      else
        ++count_;
      put(key, TokenId(id));
    }
  }

  void read_list() {
    bool present = false;
    simdjson::dom::array vocab;
    const element value = member(model_, "vocab", present);
    require(present && value.get(vocab) == simdjson::SUCCESS, ErrorCode::corrupt, "tokenizer.json: no array at /model/vocab");
    size_t count = 0;
    for (const auto& item : vocab) (void)item, ++count;
    require(count > 0 && count < size_t(kMaxVocab), ErrorCode::corrupt, "tokenizer.json: /model/vocab has {} entries", count);
    vocab_.ids = TextIndex(count);
    TokenId id = 0;
    for (const element item : vocab) {
      simdjson::dom::array pair;
      std::string_view text;
      double score = 0;
      require(item.get(pair) == simdjson::SUCCESS && pair.size() == 2 && pair.at(0).get(text) == simdjson::SUCCESS &&
                  pair.at(1).get(score) == simdjson::SUCCESS,
              ErrorCode::corrupt, "tokenizer.json: /model/vocab/{} is not [text, score]", id);
      vocab_.ids.set(text, id);
      ++count_;
      vocab_.scores.push_back(score);
      put(text, id++);
    }
  }

  void read_added() {
    bool present = false;
    simdjson::dom::array list;
    const element value = member(root_, "added_tokens", present);
    if (!present) return;
    require(value.get(list) == simdjson::SUCCESS, ErrorCode::corrupt, "tokenizer.json: /added_tokens is no array");
    std::unordered_map<std::string_view, size_t, TextHash> seen;
    size_t index = 0;
    TokenId next = count_;
    for (const element item : list) {
      const std::string pointer = "/added_tokens/" + std::to_string(index++);
      require(item.is_object(), ErrorCode::corrupt, "tokenizer.json: {} is no object", pointer);
      const std::string_view content = text(item, "content", pointer, "");
      int64_t id = -1;
      require(item["id"].get(id) == simdjson::SUCCESS && id >= 0 && id < kMaxVocab, ErrorCode::corrupt,
              "tokenizer.json: {}/id is not a number from 0 to {}", pointer, kMaxVocab - 1);
      if (content.empty()) continue;
      // The reference numbers its added tokens itself, whatever the file says.
      const TokenId known = vocab_.ids.find(content);
      const auto before = seen.find(content);
      if (known >= 0)
        id = known;
      else
        id = before != seen.end() ? parts_.added[before->second].id : next++;
      const bool special = flag(item, "special", pointer);
      if (special) parts_.special_texts.emplace(content);
      const AddedToken token{TokenId(id),
                             std::string(content),
                             special,
                             flag(item, "single_word", pointer),
                             flag(item, "lstrip", pointer),
                             flag(item, "rstrip", pointer),
                             flag(item, "normalized", pointer, !special)};
      require(id < kMaxVocab, ErrorCode::unsupported, "tokenizer.json: more than {} tokens with those of /added_tokens",
              kMaxVocab);
      if (size_t(id) >= vocab_.texts.size() || vocab_.texts[size_t(id)].empty()) {
        put(content, TokenId(id));
        vocab_.added.push_back(TokenId(id));
      }
      if (const auto [at, fresh] = seen.try_emplace(content, parts_.added.size()); fresh)
        parts_.added.push_back(token);
      else
        parts_.added[at->second] = token;
    }
  }

  void set_types() {
    vocab_.texts.resize(size_t(highest_) + 1);
    vocab_.highest = highest_;
    parts_.vocab_size = highest_ + 1;
    parts_.types.assign(vocab_.texts.size(), VocabSpec::unused);
    for (size_t id = 0; id < vocab_.texts.size(); ++id)
      if (!vocab_.texts[id].empty()) parts_.types[id] = VocabSpec::normal;
  }

  void finish() {
    for (const AddedToken& t : parts_.added)
      parts_.types[size_t(t.id)] = !t.special           ? VocabSpec::user_defined
                                   : t.id == parts_.unk ? VocabSpec::unknown
                                                        : VocabSpec::control;
    const auto known = [&](int64_t id) { return id >= 0 && id <= highest_ && parts_.types[size_t(id)] != VocabSpec::unused; };
    parts_.post = parse_post_processor(part("post_processor"));
    if (const auto prefix = parts_.post.prefix(); prefix.size() == 1 && known(prefix[0])) parts_.bos = prefix[0];
    if (const auto suffix = parts_.post.suffix(); suffix.size() == 1 && known(suffix[0])) parts_.eos = suffix[0];
    parts_.added_in_letters = true;  // as the reference has it; GGUF's reference takes them as they stand
    parts_.truncation = parse_truncation(part("truncation"));
    parts_.padding = parse_padding(part("padding"));
  }

  const element& root_;
  element model_;
  TokenizerParts parts_;
  JsonVocab vocab_;
  TokenId highest_ = -1, count_ = 0;  // count_: of the model's own entries
};

}  // namespace

TokenId JsonVocab::named(const element& model, std::string_view key, std::string_view otherwise) const {
  const std::string_view name = text(model, key, "/model", otherwise);
  return name.empty() ? -1 : ids.find(name);
}

std::unique_ptr<Tokenizer> Tokenizer::from_json(std::string_view tokenizer_json) {
  require(tokenizer_json.size() <= kMaxFile, ErrorCode::unsupported, "tokenizer.json: {} bytes; at most {} are read",
          tokenizer_json.size(), kMaxFile);
  simdjson::dom::parser parser;
  element root;
  const simdjson::padded_string padded(tokenizer_json);
  const simdjson::error_code error = parser.parse(padded).get(root);
  require(error == simdjson::SUCCESS, ErrorCode::corrupt, "tokenizer.json: {}", simdjson::error_message(error));
  return std::make_unique<Pipeline>(Reader(root).read());
}

}  // namespace gale
