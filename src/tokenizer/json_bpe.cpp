#include <array>

#include "base/fail.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/json_file.h"

namespace gale {
namespace {

using json_file::element;
using json_file::flag;
using json_file::member;
using json_file::text;

constexpr size_t kMaxAffix = 64;

class BpeReader {
 public:
  BpeReader(const element& model, const JsonVocab& vocab, TokenizerParts& parts) : model_(model), vocab_(vocab), parts_(parts) {}

  void read() {
    check_dropout();
    read_options();
    fill_texts();
    read_merges();
    mark_types();
    rules_.texts = texts_;
    parts_.kind = rules_.byte_level ? VocabSpec::Kind::byte_bpe : VocabSpec::Kind::sentencepiece_bpe;
    const bool letters = parts_.pre.byte_level() && !rules_.byte_level;
    if (!rules_.inside_prefix.empty() || !rules_.end_suffix.empty() || letters) parts_.kind.reset();
    parts_.byte_level = rules_.byte_level;
    parts_.model = std::make_unique<Bpe>(rules_);
    rules_.texts.clear();
  }

 private:
  void check_dropout() const {
    bool present = false;
    double dropout = 0;
    const element value = member(model_, "dropout", present);
    require(!present || (value.get(dropout) == simdjson::SUCCESS && dropout == 0), ErrorCode::unsupported,
            "tokenizer.json: /model/dropout is set; it makes encoding random and is for training only");
  }

  void read_options() {
    rules_.byte_fallback = flag(model_, "byte_fallback", "/model");
    rules_.fuse_unk = flag(model_, "fuse_unk", "/model");
    rules_.ignore_merges = flag(model_, "ignore_merges", "/model");
    rules_.inside_prefix = text(model_, "continuing_subword_prefix", "/model", "");
    rules_.end_suffix = text(model_, "end_of_word_suffix", "/model", "");
    for (const std::string* affix : {&rules_.inside_prefix, &rules_.end_suffix})
      require(affix->size() <= kMaxAffix, ErrorCode::unsupported,
              "tokenizer.json: a prefix or suffix of {} bytes in /model, which each character would have; at most {} are read",
              affix->size(), kMaxAffix);
    rules_.byte_level = parts_.pre.bytes();
    rules_.unk = vocab_.named(model_, "unk_token", "");
    if (rules_.unk >= 0)
      parts_.unk = rules_.unk;
    else
      rules_.missing_unk = text(model_, "unk_token", "/model", "");
    if (!rules_.byte_level) rules_.word_mark = kWordMark;
  }

  void fill_texts() {
    texts_ = vocab_.texts;
    const size_t n = texts_.size();
    rules_.vocab_size = int32_t(n);
    rules_.usable.assign(n, 0);
    rules_.whole_words.assign(n, 0);
    size_t bytes = 0;
    for (const std::string_view t : texts_) bytes += t.size();
    bytes_.reserve(bytes);  // so that views of it stay
    own_.assign(n, 1);
    for (const TokenId id : vocab_.added) own_[size_t(id)] = 0;
    for (size_t id = 0; id < n; ++id) {
      if (parts_.types[id] == VocabSpec::unused || !own_[id]) continue;
      const size_t begin = bytes_.size();
      bool readable = true;
      if (rules_.byte_level) {
        readable = append_letters(bytes_, texts_[id]);
        if (readable) texts_[id] = std::string_view(bytes_).substr(begin);
      }
      rules_.usable[id] = rules_.whole_words[id] = readable;
    }
  }

  void read_merges() {
    bool present = false;
    simdjson::dom::array list;
    const element value = member(model_, "merges", present);
    if (!present) return;
    require(value.get(list) == simdjson::SUCCESS, ErrorCode::corrupt, "tokenizer.json: /model/merges is no array");
    rules_.merges.reserve(list.size());
    std::vector<std::string_view> pieces;  // left, right, left, right ...
    pieces.reserve(TextIndex::kMany);
    uint32_t rank = 0;
    for (const element item : list) {
      const auto [left, right] = merge_texts(item, rank++);
      pieces.insert(pieces.end(), {left, right});
      if (pieces.size() == TextIndex::kMany) add_merges(pieces);
    }
    add_merges(pieces);
  }

  void add_merges(std::vector<std::string_view>& pieces) {
    std::array<TokenId, TextIndex::kMany> ids;
    vocab_.ids.find(pieces, ids);
    for (size_t i = 0; i < pieces.size(); i += 2) {
      const auto rank = uint32_t(rules_.merges.size());
      const std::string_view left = pieces[i], right = pieces[i + 1];
      const size_t prefix = right.starts_with(rules_.inside_prefix) ? rules_.inside_prefix.size() : 0;
      known(ids[i], left, rank);
      known(ids[i + 1], right, rank);
      rules_.merges.push_back({ids[i], ids[i + 1], joined_id(left, right.substr(prefix), rank), rank});
    }
    pieces.clear();
  }

  // Most files number the pieces as their rules make them, so that the next one is tried before it is looked up.
  TokenId joined_id(std::string_view left, std::string_view right, uint32_t rank) {
    const size_t next = rules_.merges.empty() ? 0 : size_t(rules_.merges.back().result) + 1;
    if (next < own_.size() && own_[next] && !vocab_.texts[next].empty()) {
      const std::string_view text = vocab_.texts[next];
      if (text.size() == left.size() + right.size() && text.starts_with(left) && text.ends_with(right)) return TokenId(next);
    }
    joined_.assign(left).append(right);
    return known(vocab_.ids.find(joined_), joined_, rank);
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

  static TokenId known(TokenId id, std::string_view piece, uint32_t rank) {
    require(id >= 0, ErrorCode::corrupt, "tokenizer.json: /model/merges/{} names '{}', which /model/vocab does not have", rank,
            piece.substr(0, 80));
    return id;
  }

  void mark_types() {
    for (size_t id = 0; rules_.byte_fallback && id < texts_.size(); ++id)
      if (byte_token(texts_[id]) >= 0 && parts_.types[id] == VocabSpec::normal) parts_.types[id] = VocabSpec::byte;
    // Text that was not parsed for special tokens must not become one because it is spelled like one.
    for (const AddedToken& t : parts_.added)
      if (t.special) rules_.whole_words[size_t(t.id)] = 0;
  }

  const element& model_;
  const JsonVocab& vocab_;
  TokenizerParts& parts_;
  BpeModel& rules_ = parts_.rules;
  std::vector<std::string_view> texts_;
  std::string bytes_, joined_;
  std::vector<uint8_t> own_;  // by id: the text is the model's, not an added token's alone
};

}  // namespace

void read_bpe(const element& model, const JsonVocab& vocab, TokenizerParts& parts) { BpeReader(model, vocab, parts).read(); }

}  // namespace gale
