#include "tokenizer/bpe.h"

#include <algorithm>

#include "tokenizer/byte_level.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

// Up to here looking through all pairs for the lowest rank is faster than a heap.
constexpr size_t kFew = 48;

}  // namespace

Bpe::Bpe(const BpeModel& model)
    : table_(model.texts, model.usable),
      pairs_(model.merges.size()),
      usable_(model.usable),
      word_mark_(model.word_mark),
      vocab_size_(model.vocab_size),
      unk_(model.unk),
      byte_level_(model.byte_level),
      byte_fallback_(model.byte_fallback),
      fuse_unk_(model.fuse_unk),
      cut_at_marks_(false) {
  for (const Merge& m : model.merges) pairs_.set(m.left, m.right, m.rank, m.result);
  byte_ids_.fill(-1);
  ascii_ids_.fill(-1);
  for (TokenId id = int32_t(model.texts.size()) - 1; id >= 0; --id) {
    const std::string& text = model.texts[size_t(id)];
    if (usable_[size_t(id)] && text.size() == 1 && byte_level_) byte_ids_[uint8_t(text[0])] = id;
    if (usable_[size_t(id)] && text.size() == 1 && uint8_t(text[0]) < 128) ascii_ids_[uint8_t(text[0])] = id;
    if (const int byte = byte_token(text); !byte_level_ && byte >= 0 && id < vocab_size_) byte_ids_[size_t(byte)] = id;
  }
  cut_at_marks_ = can_cut_at_marks(model);
  find_whole_words(model);
}

// Words of "▁two▁words" are merged one by one where that provably changes nothing: no rule makes a piece with a mark after
// another character, and the mark is a symbol of its own (so no run of unknown characters spans it).
bool Bpe::can_cut_at_marks(const BpeModel& model) const {
  if (model.byte_level || model.ignore_merges || word_mark_.empty()) return false;
  const TokenId mark = table_.find(word_mark_);
  if (mark < 0 || !usable_[size_t(mark)]) return false;
  return std::none_of(model.merges.begin(), model.merges.end(), [&](const Merge& m) {
    const std::string_view text = table_.text(m.result);
    size_t at = 0;
    while (text.substr(at).starts_with(word_mark_)) at += word_mark_.size();
    return text.find(word_mark_, at) != std::string_view::npos;
  });
}

// Most words of a text are one token. Knowing which tokens their own text leads back to saves merging those words; the answer
// is the same because merging is a function of the word alone.
void Bpe::find_whole_words(const BpeModel& model) {
  whole_.assign(model.texts.size(), 0);
  std::vector<uint8_t> whole(model.texts.size(), 0);
  Scratch scratch;
  std::vector<TokenId> ids;
  for (TokenId id = 0; id < vocab_size_; ++id) {
    if (!usable_[size_t(id)] || table_.text(id).empty() || table_.find(table_.text(id)) != id) continue;
    if (model.ignore_merges && model.whole_words[size_t(id)]) {
      whole[size_t(id)] = 1;
      continue;
    }
    if (!byte_level_ && valid_prefix(table_.text(id)) != table_.text(id).size()) continue;
    ids.clear();
    merge_word(table_.text(id), scratch, ids);
    whole[size_t(id)] = ids.size() == 1 && ids[0] == id;
  }
  whole_ = std::move(whole);
}

void Bpe::encode(std::string_view text, Scratch& scratch, std::vector<TokenId>& out) const {
  if (!cut_at_marks_) return encode_word(text, scratch, out);
  while (!text.empty()) {
    size_t end = 0;
    while (text.substr(end).starts_with(word_mark_)) end += word_mark_.size();
    end = std::min(text.size(), text.find(word_mark_, end));
    encode_word(text.substr(0, end), scratch, out);
    text.remove_prefix(end);
  }
}

void Bpe::encode_byte(uint8_t byte, std::vector<TokenId>& out) const {
  if (byte_ids_[byte] >= 0 && (byte_level_ || byte_fallback_)) {
    out.push_back(byte_ids_[byte]);
  } else if (unk_ >= 0) {
    out.push_back(unk_);
  }
}

void Bpe::encode_word(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
  if (word.empty()) return;
  const TokenId id = table_.find(word);
  if (id >= 0 && whole_[size_t(id)]) {
    out.push_back(id);
  } else {
    merge_word(word, scratch, out);
  }
}

void Bpe::merge_word(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
  std::vector<TokenId>& symbols = scratch.symbols;
  symbols.clear();
  load(word, symbols);
  if (symbols.size() <= kFew) {
    merge_few(symbols);
  } else {
    merge_many(scratch);
  }
  for (const TokenId id : symbols) {
    if (id < vocab_size_) {
      out.push_back(id);
    } else {  // a character that only exists inside pieces and was not merged into one
      append_unknown(table_.text(id), out);
    }
  }
}

void Bpe::load(std::string_view word, std::vector<TokenId>& symbols) const {
  if (byte_level_) {
    for (const char c : word) {
      const TokenId id = byte_ids_[uint8_t(c)];
      if (id >= 0) {
        symbols.push_back(id);
      } else if (unk_ >= 0 && !(fuse_unk_ && !symbols.empty() && symbols.back() == unk_)) {
        symbols.push_back(unk_);
      }
    }
    return;
  }
  bool unknown_before = false;
  for (size_t at = 0; at < word.size();) {
    const Utf8Char c = utf8_at(word, at);
    const std::string_view text = word.substr(at, c.length);
    at += c.length;
    TokenId id = c.code < 128 ? ascii_ids_[c.code] : table_.find(text);
    if (id >= 0 && !usable_[size_t(id)]) id = -1;
    if (id >= 0) {
      symbols.push_back(id);
    } else if (append_bytes(text, symbols)) {
    } else if (unk_ >= 0) {
      if (!(unknown_before && fuse_unk_)) symbols.push_back(unk_);
      unknown_before = true;
      continue;
    }
    unknown_before = false;
  }
}

bool Bpe::append_bytes(std::string_view text, std::vector<TokenId>& out) const {
  if (!byte_fallback_) return false;
  for (const char c : text)
    if (byte_ids_[uint8_t(c)] < 0) return false;
  for (const char c : text) out.push_back(byte_ids_[uint8_t(c)]);
  return true;
}

void Bpe::append_unknown(std::string_view text, std::vector<TokenId>& out) const {
  if (append_bytes(text, out) || unk_ < 0 || (fuse_unk_ && !out.empty() && out.back() == unk_)) return;
  out.push_back(unk_);
}

void Bpe::merge_few(std::vector<TokenId>& symbols) const {
  const PairTable::Entry* next[kFew];  // next[i]: what symbols i and i + 1 would become
  size_t n = symbols.size();
  for (size_t i = 0; i + 1 < n; ++i) next[i] = &pairs_.find(symbols[i], symbols[i + 1]);
  while (n > 1) {
    size_t best = 0;
    uint32_t rank = next[0]->rank;
    for (size_t i = 1; i + 1 < n; ++i)
      if (next[i]->rank < rank) rank = next[i]->rank, best = i;
    if (next[best]->result < 0) break;
    symbols[best] = next[best]->result;
    std::copy(symbols.begin() + long(best) + 2, symbols.begin() + long(n), symbols.begin() + long(best) + 1);
    std::copy(next + best + 1, next + n - 1, next + best);
    --n;
    if (best > 0) next[best - 1] = &pairs_.find(symbols[best - 1], symbols[best]);
    if (best + 1 < n) next[best] = &pairs_.find(symbols[best], symbols[best + 1]);
  }
  symbols.resize(n);
}

void Bpe::push_candidate(Scratch& scratch, int32_t left, int32_t right) const {
  const TokenId a = scratch.nodes[size_t(left)].id, b = scratch.nodes[size_t(right)].id;
  const PairTable::Entry& e = pairs_.find(a, b);
  if (e.result < 0) return;
  scratch.heap.push_back({uint64_t(e.rank) << 32 | uint32_t(left), a, b, e.result});
  std::push_heap(scratch.heap.begin(), scratch.heap.end());
}

void Bpe::merge_many(Scratch& scratch) const {
  auto& nodes = scratch.nodes;
  auto& heap = scratch.heap;
  const int32_t n = int32_t(scratch.symbols.size());
  nodes.clear();
  heap.clear();
  for (int32_t i = 0; i < n; ++i) nodes.push_back({scratch.symbols[size_t(i)], i - 1, i + 1 < n ? i + 1 : -1});
  for (int32_t i = 0; i + 1 < n; ++i) push_candidate(scratch, i, i + 1);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Scratch::Candidate c = heap.back();
    heap.pop_back();
    const int32_t at = int32_t(uint32_t(c.order));
    Scratch::Node& left = nodes[size_t(at)];
    if (left.id != c.left || left.next < 0 || nodes[size_t(left.next)].id != c.right) continue;  // merged otherwise since
    Scratch::Node& right = nodes[size_t(left.next)];
    left.id = c.result;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) {
      nodes[size_t(left.next)].prev = at;
      push_candidate(scratch, at, left.next);
    }
    if (left.prev >= 0) push_candidate(scratch, left.prev, at);
  }
  scratch.symbols.clear();
  for (int32_t i = 0; i >= 0; i = nodes[size_t(i)].next) scratch.symbols.push_back(nodes[size_t(i)].id);
}

}  // namespace gale
