#include "tokenizer/bpe.h"

#include <algorithm>

#include "base/fail.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

// Up to here looking through all pairs for the lowest rank is faster than a heap.
constexpr size_t kFew = 48;
constexpr size_t kAhead = 16;  // rules whose slots are on their way while one is put in

}  // namespace

Bpe::Bpe(const BpeModel& model)
    : table_(model.texts, model.usable),
      pairs_(model.merges.size()),
      usable_(model.usable),
      whole_(std::make_unique<std::atomic<uint8_t>[]>(model.texts.size())),
      word_mark_(model.word_mark),
      inside_prefix_(model.inside_prefix),
      end_suffix_(model.end_suffix),
      missing_unk_(model.missing_unk),
      vocab_size_(model.vocab_size),
      unk_(model.unk),
      byte_level_(model.byte_level),
      byte_fallback_(model.byte_fallback),
      fuse_unk_(model.fuse_unk),
      fuse_runs_(model.fuse_runs),
      cut_at_marks_(false) {
  for (size_t i = 0; i < model.merges.size(); ++i) {
    if (i + kAhead < model.merges.size()) pairs_.fetch(model.merges[i + kAhead].left, model.merges[i + kAhead].right);
    const Merge& m = model.merges[i];
    pairs_.set(m.left, m.right, m.rank, m.result);
  }
  byte_ids_.fill(-1);
  ascii_ids_.fill(-1);
  for (TokenId id = int32_t(model.texts.size()) - 1; id >= 0; --id) {
    const std::string_view text = model.texts[size_t(id)];
    const bool usable = usable_[size_t(id)] != 0;
    if (usable && text.size() == 1 && byte_level_) byte_ids_[uint8_t(text[0])] = id;
    if (usable && text.size() == 1 && uint8_t(text[0]) < 128) ascii_ids_[uint8_t(text[0])] = id;
    if (const int byte = byte_token(text); !byte_level_ && byte >= 0 && id < vocab_size_) byte_ids_[size_t(byte)] = id;
    const bool stands = model.ignore_merges && model.whole_words[size_t(id)] && id < vocab_size_;
    whole_[size_t(id)].store(stands ? whole : usable && id < vocab_size_ ? untried : in_parts, std::memory_order_relaxed);
  }
  cut_at_marks_ = can_cut_at_marks(model);
}

// Words of "▁two▁words" are merged one by one where that provably changes nothing: no rule makes a piece with a mark after
// another character, and the mark is a symbol of its own (so no run of unknown characters spans it).
bool Bpe::can_cut_at_marks(const BpeModel& model) const {
  if (model.byte_level || model.ignore_merges || word_mark_.empty() || !inside_prefix_.empty() || !end_suffix_.empty())
    return false;
  const TokenId mark = table_.find(word_mark_);
  if (mark < 0 || !usable_[size_t(mark)]) return false;
  return std::none_of(model.merges.begin(), model.merges.end(), [&](const Merge& m) {
    const std::string_view text = table_.text(m.result);
    size_t at = 0;
    while (text.substr(at).starts_with(word_mark_)) at += word_mark_.size();
    return text.find(word_mark_, at) != std::string_view::npos;
  });
}

void Bpe::encode(std::string_view text, ModelScratch& scratch, TokenSink& out) const {
  // Where characters without a token are left out, places are counted through the whole text.
  if (!cut_at_marks_ || (out.spans != nullptr && unk_ < 0)) return encode_word(text, 0, scratch, out);
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    while (text.substr(end).starts_with(word_mark_)) end += word_mark_.size();
    end = std::min(text.size(), text.find(word_mark_, end));
    encode_word(text.substr(begin, end - begin), begin, scratch, out);
    begin = end;
  }
}

// Most words of a text are one token. Knowing which tokens their own text leads back to saves merging those words; the answer
// is the same because merging is a function of the word alone.
void Bpe::encode_word(std::string_view word, size_t base, ModelScratch& scratch, TokenSink& out) const {
  if (word.empty()) return;
  const TokenId id = table_.find(word);
  const uint8_t known = id >= 0 ? whole_[size_t(id)].load(std::memory_order_relaxed) : uint8_t(in_parts);
  if (known == whole) return out.add(id, base, base + word.size());
  const size_t before = out.ids.size();
  merge_word(word, base, scratch, out);
  if (known == untried) {
    const bool one = out.ids.size() == before + 1 && out.ids.back() == id;
    whole_[size_t(id)].store(one ? whole : in_parts, std::memory_order_relaxed);
  }
}

void Bpe::merge_word(std::string_view word, size_t base, ModelScratch& scratch, TokenSink& out) const {
  scratch.symbols.clear();
  if (byte_level_)
    load_bytes(word, scratch.symbols);
  else
    load_characters(word, scratch);
  if (scratch.symbols.size() <= kFew)
    merge_few(scratch.symbols);
  else
    merge_many(scratch);
  if (out.spans != nullptr && byte_level_ && drops(word)) return add_spans_of_rest(word, base, scratch.symbols, out);
  for (const Symbol s : scratch.symbols) {
    emit(s, base, out);
    base += s.bytes;
  }
}

void Bpe::load_bytes(std::string_view word, std::vector<Symbol>& symbols) const {
  for (const char c : word) {
    const TokenId id = byte_ids_[uint8_t(c)];
    if (id < 0 && unk_ >= 0 && fuse_unk_ && !symbols.empty() && symbols.back().id == unk_) {
      ++symbols.back().bytes;
    } else if (id >= 0 || unk_ >= 0) {
      symbols.push_back({id >= 0 ? id : unk_, 1});
    } else {
      leave_out(bytes_to_letters({&c, 1}));
    }
  }
}

// Bytes that no token stands for are left out.
bool Bpe::drops(std::string_view word) const {
  return unk_ < 0 && std::any_of(word.begin(), word.end(), [&](char c) { return byte_ids_[uint8_t(c)] < 0; });
}

// The reference then counts the letters that are left, in UTF-8, and takes the sums for places in the whole word: everything
// behind what is left out lies too far to the left.
void Bpe::add_spans_of_rest(std::string_view word, size_t base, const std::vector<Symbol>& symbols, TokenSink& out) const {
  const auto width = [](char byte) { return byte_letter(uint8_t(byte)) < 0x80 ? 1u : 2u; };
  std::vector<uint32_t> byte_at;  // by place in the word's letters
  std::string rest;
  for (uint32_t i = 0; i < word.size(); ++i) {
    byte_at.insert(byte_at.end(), width(word[i]), i);
    if (byte_ids_[uint8_t(word[i])] >= 0) rest += word[i];
  }
  size_t at = 0, from = 0;
  for (const Symbol s : symbols) {
    size_t to = from;
    for (size_t end = at + s.bytes; at < end; ++at) to += width(rest[at]);
    out.add(s.id, base + byte_at[from], base + byte_at[to - 1] + 1);
    from = to;
  }
}

TokenId Bpe::symbol_id(std::string_view character, bool first, bool last, std::string& buffer, std::string_view& whole) const {
  const bool prefix = !first && !inside_prefix_.empty(), suffix = last && !end_suffix_.empty();
  TokenId id;
  whole = character;
  if (prefix || suffix) {
    buffer.assign(prefix ? inside_prefix_ : std::string()).append(character).append(suffix ? end_suffix_ : std::string());
    whole = buffer;
    id = table_.find(buffer);
  } else {
    id = uint8_t(character[0]) < 128 ? ascii_ids_[uint8_t(character[0])] : table_.find(character);
  }
  return id >= 0 && usable_[size_t(id)] ? id : -1;
}

// An unknown token comes out before the next known symbol, as in the reference: bytes of later characters do not wait for it.
void Bpe::load_characters(std::string_view word, ModelScratch& scratch) const {
  auto& symbols = scratch.symbols;
  uint32_t unknown = 0;  // bytes of it
  const auto flush = [&] {
    if (unknown > 0) symbols.push_back({unk_, unknown});
    unknown = 0;
  };
  for (size_t at = 0; at < word.size();) {
    const auto bytes = uint32_t(utf8_length(word[at]));
    const std::string_view text = word.substr(at, bytes);
    std::string_view whole;  // with the prefix and the suffix
    const TokenId id = symbol_id(text, at == 0, at + bytes == word.size(), scratch.text, whole);
    at += bytes;
    if (id >= 0) {
      flush();
      symbols.push_back({id, bytes});
    } else if (has_bytes(whole)) {
      for (const char c : whole) symbols.push_back({byte_ids_[uint8_t(c)], 1});
    } else if (unk_ >= 0) {
      if (!fuse_unk_) flush();
      unknown += bytes;
    } else {
      leave_out(text);
    }
  }
  flush();
}

bool Bpe::has_bytes(std::string_view text) const {
  return byte_fallback_ && std::all_of(text.begin(), text.end(), [&](char c) { return byte_ids_[uint8_t(c)] >= 0; });
}

void Bpe::emit(Symbol symbol, size_t begin, TokenSink& out) const {
  const size_t end = begin + symbol.bytes;
  const bool again = fuse_unk_ && !out.ids.empty() && out.ids.back() == unk_;
  if (symbol.id < vocab_size_) return fuse_runs_ && again && symbol.id == unk_ ? out.extend(end) : out.add(symbol.id, begin, end);
  // A character that only exists inside pieces and was not merged into one.
  const std::string_view text = table_.text(symbol.id);
  if (has_bytes(text)) {
    for (size_t i = 0; i < text.size(); ++i) out.add(byte_ids_[uint8_t(text[i])], begin + i, begin + i + 1);
  } else if (unk_ >= 0) {
    again ? out.extend(end) : out.add(unk_, begin, end);
  } else {
    leave_out(text);
  }
}

// Without an unknown token unknown characters are nothing, but for models that name one they do not have.
void Bpe::leave_out(std::string_view character) const {
  require(missing_unk_.empty(), ErrorCode::invalid_argument,
          "the tokenizer has no token for '{}', and its vocabulary lacks its unknown token '{}'; leave the character out",
          character, missing_unk_);
}

void Bpe::merge_few(std::vector<Symbol>& symbols) const {
  const PairTable::Entry* next[kFew];  // next[i]: what symbols i and i + 1 would become
  size_t n = symbols.size();
  for (size_t i = 0; i + 1 < n; ++i) next[i] = &pairs_.find(symbols[i].id, symbols[i + 1].id);
  while (n > 1) {
    size_t best = 0;
    uint32_t rank = next[0]->rank;
    for (size_t i = 1; i + 1 < n; ++i)
      if (next[i]->rank < rank) rank = next[i]->rank, best = i;
    if (next[best]->result < 0) break;
    symbols[best] = {next[best]->result, symbols[best].bytes + symbols[best + 1].bytes};
    std::copy(symbols.begin() + long(best) + 2, symbols.begin() + long(n), symbols.begin() + long(best) + 1);
    std::copy(next + best + 1, next + n - 1, next + best);
    --n;
    if (best > 0) next[best - 1] = &pairs_.find(symbols[best - 1].id, symbols[best].id);
    if (best + 1 < n) next[best] = &pairs_.find(symbols[best].id, symbols[best + 1].id);
  }
  symbols.resize(n);
}

void Bpe::push_candidate(ModelScratch& scratch, int32_t left, int32_t right) const {
  const TokenId a = scratch.nodes[size_t(left)].symbol.id, b = scratch.nodes[size_t(right)].symbol.id;
  const PairTable::Entry& e = pairs_.find(a, b);
  if (e.result < 0) return;
  scratch.heap.push_back({uint64_t(e.rank) << 32 | uint32_t(left), a, b, e.result});
  std::push_heap(scratch.heap.begin(), scratch.heap.end());
}

void Bpe::merge_many(ModelScratch& scratch) const {
  auto& nodes = scratch.nodes;
  auto& heap = scratch.heap;
  const auto n = int32_t(scratch.symbols.size());
  nodes.clear();
  heap.clear();
  for (int32_t i = 0; i < n; ++i) nodes.push_back({scratch.symbols[size_t(i)], i - 1, i + 1 < n ? i + 1 : -1});
  for (int32_t i = 0; i + 1 < n; ++i) push_candidate(scratch, i, i + 1);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const ModelScratch::Candidate c = heap.back();
    heap.pop_back();
    const auto at = int32_t(uint32_t(c.order));
    ModelScratch::Node& left = nodes[size_t(at)];
    // Merged otherwise since?
    if (left.symbol.id != c.left || left.next < 0 || nodes[size_t(left.next)].symbol.id != c.right) continue;
    ModelScratch::Node& right = nodes[size_t(left.next)];
    left.symbol = {c.result, left.symbol.bytes + right.symbol.bytes};
    left.next = right.next;
    right.symbol.id = -1;
    if (left.next >= 0) {
      nodes[size_t(left.next)].prev = at;
      push_candidate(scratch, at, left.next);
    }
    if (left.prev >= 0) push_candidate(scratch, left.prev, at);
  }
  scratch.symbols.clear();
  for (int32_t i = 0; i >= 0; i = nodes[size_t(i)].next) scratch.symbols.push_back(nodes[size_t(i)].symbol);
}

}  // namespace gale
