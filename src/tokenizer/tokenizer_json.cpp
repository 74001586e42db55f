#include <simdjson.h>

#include <algorithm>
#include <unordered_map>

#include "base/fail.h"
#include "base/json.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/json_components.h"

namespace gale {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

constexpr int kMaxDepth = 32;
constexpr size_t kMaxFile = size_t(1) << 30;

// The value of `key`, null where it is missing or null.
element member(const element& object, std::string_view key, bool& present) {
  element value;
  present = object[key].get(value) == simdjson::SUCCESS && !value.is_null();
  return value;
}

bool flag(const element& object, std::string_view key, std::string_view pointer, bool otherwise = false) {
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

class Reader {
 public:
  explicit Reader(const element& root) : root_(root) {}

  TokenizerParts read() {
    require(root_.is_object(), ErrorCode::corrupt, "tokenizer.json: the file is no JSON object");
    bool present = false;
    model_ = member(root_, "model", present);
    require(present && model_.is_object(), ErrorCode::corrupt, "tokenizer.json: no object at /model");
    check_model();
    parts_.normalizer = parse_normalizer(part("normalizer"));
    parts_.pre = parse_pre_tokenizer(part("pre_tokenizer"));
    parts_.decoder = parse_decoder(part("decoder"));
    parts_.model.byte_level = parts_.pre.byte_level();
    read_vocab();
    read_added();
    fill_texts();
    read_options();
    read_merges();
    mark_types();
    finish();
    return std::move(parts_);
  }

 private:
  Json part(std::string_view key) {
    bool present = false;
    const element value = member(root_, key, present);
    return present ? small_json(value) : Json();
  }

  void check_model() {
    bool has_merges = false;
    member(model_, "merges", has_merges);
    const std::string_view type = text(model_, "type", "/model", has_merges ? "BPE" : "of unknown type");
    require(type == "BPE", ErrorCode::unsupported,
            "tokenizer.json: the model is {}; Gale knows BPE (Unigram, WordPiece and WordLevel are not read from here)", type);
    for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"})
      require(text(model_, key, "/model", "").empty(), ErrorCode::unsupported,
              "tokenizer.json: /model/{} is set; Gale knows BPE without it", key);
    bool present = false;
    double dropout = 0;
    const element value = member(model_, "dropout", present);
    require(!present || (value.get(dropout) == simdjson::SUCCESS && dropout == 0), ErrorCode::unsupported,
            "tokenizer.json: /model/dropout is set; it makes encoding random and is for training only");
  }

  void read_vocab() {
    bool present = false;
    simdjson::dom::object vocab;
    const element value = member(model_, "vocab", present);
    require(present && value.get(vocab) == simdjson::SUCCESS, ErrorCode::corrupt, "tokenizer.json: no object at /model/vocab");
    require(vocab.size() > 0, ErrorCode::corrupt, "tokenizer.json: /model/vocab is empty");
    for (const auto& [key, item] : vocab) {
      int64_t id = -1;
      require(item.get(id) == simdjson::SUCCESS && id >= 0 && id < kMaxVocab, ErrorCode::corrupt,
              "tokenizer.json: the id of '{}' in /model/vocab is not a number from 0 to {}", key.substr(0, 80), kMaxVocab - 1);
      vocab_[key] = TokenId(id);
      highest_ = std::max(highest_, TokenId(id));
    }
  }

  void read_added() {
    bool present = false;
    simdjson::dom::array list;
    const element value = member(root_, "added_tokens", present);
    if (!present) return;
    require(value.get(list) == simdjson::SUCCESS, ErrorCode::corrupt, "tokenizer.json: /added_tokens is no array");
    std::unordered_map<std::string_view, size_t> seen;
    size_t index = 0;
    for (const element item : list) {
      const std::string pointer = "/added_tokens/" + std::to_string(index++);
      require(item.is_object(), ErrorCode::corrupt, "tokenizer.json: {} is no object", pointer);
      const std::string_view content = text(item, "content", pointer, "");
      int64_t id = -1;
      require(item["id"].get(id) == simdjson::SUCCESS && id >= 0 && id < kMaxVocab, ErrorCode::corrupt,
              "tokenizer.json: {}/id is not a number from 0 to {}", pointer, kMaxVocab - 1);
      if (content.empty()) continue;
      if (const auto known = vocab_.find(content); known != vocab_.end()) id = known->second;
      const bool special = flag(item, "special", pointer);
      const AddedToken token{TokenId(id),
                             std::string(content),
                             special,
                             flag(item, "single_word", pointer),
                             flag(item, "lstrip", pointer),
                             flag(item, "rstrip", pointer),
                             flag(item, "normalized", pointer, !special)};
      highest_ = std::max(highest_, TokenId(id));
      if (const auto [at, fresh] = seen.try_emplace(content, parts_.added.size()); fresh)
        parts_.added.push_back(token);
      else
        parts_.added[at->second] = token;
    }
  }

  void fill_texts() {
    BpeModel& m = parts_.model;
    const size_t n = size_t(highest_) + 1;
    m.vocab_size = highest_ + 1;
    m.texts.resize(n);
    m.usable.assign(n, 0);
    m.whole_words.assign(n, 0);
    parts_.types.assign(n, VocabSpec::unused);
    for (const AddedToken& t : parts_.added) m.texts[size_t(t.id)] = t.content;
    for (const auto& [key, id] : vocab_) {
      const std::optional<std::string> bytes = m.byte_level ? letters_to_bytes(key) : std::string(key);
      m.texts[size_t(id)] = bytes ? *bytes : std::string(key);
      m.usable[size_t(id)] = bytes.has_value();
      m.whole_words[size_t(id)] = bytes.has_value();
      parts_.types[size_t(id)] = VocabSpec::normal;
    }
  }

  void read_options() {
    BpeModel& m = parts_.model;
    m.byte_fallback = flag(model_, "byte_fallback", "/model");
    m.fuse_unk = flag(model_, "fuse_unk", "/model");
    m.ignore_merges = flag(model_, "ignore_merges", "/model");
    const std::string_view unk = text(model_, "unk_token", "/model", "");
    if (!unk.empty()) {
      const auto id = vocab_.find(unk);
      require(id != vocab_.end(), ErrorCode::corrupt, "tokenizer.json: /model/unk_token '{}' is not in /model/vocab",
              unk.substr(0, 80));
      m.unk = id->second;
    }
    if (!m.byte_level) m.word_mark = kWordMark;
  }

  void read_merges() {
    bool present = false;
    simdjson::dom::array list;
    const element value = member(model_, "merges", present);
    if (!present) return;
    require(value.get(list) == simdjson::SUCCESS, ErrorCode::corrupt, "tokenizer.json: /model/merges is no array");
    std::string joined;
    uint32_t rank = 0;
    for (const element item : list) {
      const auto [left, right] = merge_texts(item, rank);
      joined.assign(left).append(right);
      parts_.model.merges.push_back({merge_id(left, rank), merge_id(right, rank), merge_id(joined, rank), rank});
      ++rank;
    }
  }

  std::pair<std::string_view, std::string_view> merge_texts(const element& item, uint32_t rank) const {
    std::string_view whole, left, right;
    if (item.get(whole) == simdjson::SUCCESS) {
      const size_t space = whole.find(' ');
      require(space != std::string_view::npos && whole.find(' ', space + 1) == std::string_view::npos, ErrorCode::corrupt,
              "tokenizer.json: /model/merges/{} '{}' is not two pieces with one space between", rank, whole.substr(0, 80));
      return {whole.substr(0, space), whole.substr(space + 1)};
    }
    simdjson::dom::array pair;
    require(item.get(pair) == simdjson::SUCCESS && pair.size() == 2 && pair.at(0).get(left) == simdjson::SUCCESS &&
                pair.at(1).get(right) == simdjson::SUCCESS,
            ErrorCode::corrupt, "tokenizer.json: /model/merges/{} is neither \"left right\" nor [\"left\", \"right\"]", rank);
    return {left, right};
  }

  TokenId merge_id(std::string_view piece, uint32_t rank) const {
    const auto id = vocab_.find(piece);
    require(id != vocab_.end(), ErrorCode::corrupt,
            "tokenizer.json: /model/merges/{} names '{}', which /model/vocab does not have", rank, piece.substr(0, 80));
    return id->second;
  }

  void mark_types() {
    BpeModel& m = parts_.model;
    for (size_t id = 0; m.byte_fallback && id < m.texts.size(); ++id)
      if (byte_token(m.texts[id]) >= 0) parts_.types[id] = VocabSpec::byte;
    for (const AddedToken& t : parts_.added) {
      parts_.types[size_t(t.id)] = !t.special ? VocabSpec::user_defined : t.id == m.unk ? VocabSpec::unknown : VocabSpec::control;
      // Text that was not parsed for special tokens must not become one because it is spelled like one.
      if (t.special) m.whole_words[size_t(t.id)] = 0;
    }
  }

  void finish() {
    const auto known = [&](int64_t id) { return id >= 0 && id <= highest_ && parts_.types[size_t(id)] != VocabSpec::unused; };
    Surround around = parse_post_processor(part("post_processor"), known);
    if (around.prefix.size() == 1) parts_.bos = around.prefix[0];
    if (around.suffix.size() == 1) parts_.eos = around.suffix[0];
    parts_.prefix = std::move(around.prefix);
    parts_.suffix = std::move(around.suffix);
    // Files made for encoding only have no decoder; its pieces are still bytes.
    if (parts_.decoder.steps.empty() && !parts_.model.byte_level) parts_.decoder = sentencepiece_decoder(parts_.decoder.leading);
  }

  const element& root_;
  element model_;
  TokenizerParts parts_;
  std::unordered_map<std::string_view, TokenId> vocab_;  // texts as the file writes them, which stay in the parser
  TokenId highest_ = -1;
};

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::from_json(std::string_view tokenizer_json) {
  require(tokenizer_json.size() <= kMaxFile, ErrorCode::unsupported, "tokenizer.json: {} bytes; at most {} are read",
          tokenizer_json.size(), kMaxFile);
  simdjson::dom::parser parser;
  element root;
  const simdjson::padded_string padded(tokenizer_json);
  const simdjson::error_code error = parser.parse(padded).get(root);
  require(error == simdjson::SUCCESS, ErrorCode::corrupt, "tokenizer.json: {}", simdjson::error_message(error));
  return std::make_unique<BpeTokenizer>(Reader(root).read());
}

}  // namespace gale
