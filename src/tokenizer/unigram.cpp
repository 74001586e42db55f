#include "tokenizer/unigram.h"

#include <algorithm>

#include "base/fail.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

constexpr double kUnknownPenalty =
    10.0;  // sentencepiece's: an unknown character is this much less probable than the rarest piece

std::vector<std::string_view> usable_texts(const UnigramModel& model) {
  std::vector<std::string_view> out = model.texts;
  for (size_t id = 0; id < out.size(); ++id)
    if (!model.usable[id]) out[id] = {};
  return out;
}

}  // namespace

Unigram::Unigram(const UnigramModel& model)
    : table_(model.texts, std::vector<uint8_t>(model.texts.size(), 1), PieceTable::last),
      trie_(usable_texts(model)),
      scores_(model.scores),
      unknown_score_(0),
      unk_(model.unk),
      byte_fallback_(model.byte_fallback),
      as_sentencepiece_(model.as_sentencepiece) {
  const auto lowest = std::min_element(scores_.begin(), scores_.end());
  unknown_score_ = (lowest == scores_.end() ? 0 : *lowest) - kUnknownPenalty;
  if (as_sentencepiece_) unknown_score_ = float(unknown_score_);
  byte_ids_.fill(-1);
  for (size_t id = 0; id < model.texts.size(); ++id)
    if (const int byte = byte_token(model.texts[id]); byte >= 0) byte_ids_[size_t(byte)] = TokenId(id);
}

void Unigram::encode(std::string_view word, ModelScratch& scratch, TokenSink& out) const {
  auto& best = scratch.best;
  best.assign(word.size() + 1, {0, -1, -1});
  const auto offer = [&](size_t begin, size_t end, double score, TokenId id) {
    double sum = best[begin].score + score;
    if (as_sentencepiece_) sum = float(sum);
    ModelScratch::Best& b = best[end];
    if (b.begin < 0 || sum > b.score) b = {sum, int32_t(begin), id};
  };
  for (size_t begin = 0; begin < word.size();) {
    const size_t character = utf8_length(word[begin]);
    bool single = false;
    uint32_t node = Trie::kRoot;
    size_t end = begin;
    while (end < word.size()) {
      node = trie_.next(node, word[end++]);
      if (node == Trie::kNone) break;
      const TokenId id = trie_.value(node);
      if (id < 0) continue;
      offer(begin, end, scores_[size_t(id)], id);
      single |= end - begin == character;
    }
    scratch.looked(end - begin);
    if (!single) offer(begin, begin + character, unknown_score_, -1);
    begin += character;
  }
  // The path is read from its end; runs of unknown characters become one.
  auto& path = scratch.symbols;
  path.clear();
  for (size_t end = word.size(); end > 0;) {
    const ModelScratch::Best& b = best[end];
    const auto bytes = uint32_t(end - size_t(b.begin));
    const bool unknown = b.id < 0 || b.id == unk_;
    if (unknown && !path.empty() && path.back().id < 0)
      path.back().bytes += bytes;
    else
      path.push_back({unknown ? -1 : b.id, bytes});
    end = size_t(b.begin);
  }
  size_t at = 0;
  for (size_t i = path.size(); i-- > 0; at += path[i].bytes) emit(word, at, at + path[i].bytes, path[i].id, out);
}

void Unigram::emit(std::string_view word, size_t begin, size_t end, TokenId id, TokenSink& out) const {
  const std::string_view text = word.substr(begin, end - begin);
  if (id < 0 && !as_sentencepiece_) id = table_.find(text);
  if (id >= 0) return out.add(id, begin, end);
  const bool bytes = byte_fallback_ && std::all_of(text.begin(), text.end(), [&](char c) { return byte_ids_[uint8_t(c)] >= 0; });
  if (bytes) {
    for (const char c : text) out.add(byte_ids_[uint8_t(c)], begin, end);
    return;
  }
  require(unk_ >= 0, ErrorCode::invalid_argument,
          "the tokenizer has no token for '{}' and no unknown token; leave these characters out", text.substr(0, 80));
  out.add(unk_, begin, end);
}

}  // namespace gale
