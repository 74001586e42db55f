#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/fail.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/json_file.h"
#include "tokenizer/unigram.h"
#include "tokenizer/wordlevel.h"
#include "tokenizer/wordpiece.h"

namespace gale {

using json_file::element;
using json_file::flag;
using json_file::member;
using json_file::text;

namespace {

constexpr double kTens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                            1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30};

// The number as the reference reads it: all digits as one integer, then one multiplication or division. It can be off by the last
// bit, which decides between paths of equal scores.
double as_reference(double score) {
  char text[40] = {};  // so that a zero ends the number
  const auto end = std::to_chars(text, text + sizeof text, std::abs(score), std::chars_format::scientific).ptr;
  uint64_t digits = 0;
  int exponent = 0;
  const char* at = text;
  for (bool fraction = false; at != end && *at != 'e'; ++at) {
    if (*at == '.') {
      fraction = true;
      continue;
    }
    digits = digits * 10 + uint64_t(*at - '0');
    exponent -= fraction;
  }
  if (at == end) return score;  // not a number, infinite
  exponent += std::atoi(at + 1);
  if (std::abs(exponent) >= int(std::size(kTens))) return score;
  const double value = exponent < 0 ? double(digits) / kTens[-exponent] : double(digits) * kTens[exponent];
  return std::copysign(value, score);
}

// Without those that only added tokens have: the model does not know them.
std::vector<std::string_view> own_texts(const JsonVocab& vocab) {
  std::vector<std::string_view> out = vocab.texts;
  for (const TokenId id : vocab.added) out[size_t(id)] = {};
  return out;
}

}  // namespace

void read_unigram(const element& model, const JsonVocab& vocab, TokenizerParts& parts) {
  UnigramModel m;
  m.texts = vocab.texts;
  for (const double score : vocab.scores) m.scores.push_back(as_reference(score));
  m.usable.assign(m.texts.size(), 1);
  m.byte_fallback = flag(model, "byte_fallback", "/model");
  bool present = false;
  const element unk = member(model, "unk_id", present);
  if (present) {
    int64_t id = -1;
    require(unk.get(id) == simdjson::SUCCESS && id >= 0 && size_t(id) < vocab.scores.size(), ErrorCode::corrupt,
            "tokenizer.json: /model/unk_id is no id of /model/vocab, which has {} entries", vocab.scores.size());
    m.unk = TokenId(id);
  }
  // Ids beyond the model's own are added tokens', found elsewhere.
  m.scores.resize(m.texts.size(), 0);
  for (size_t id = vocab.scores.size(); id < m.texts.size(); ++id) m.texts[id] = {};
  if (m.unk >= 0) parts.unk = m.unk;
  for (size_t id = 0; m.byte_fallback && id < m.texts.size(); ++id)
    if (byte_token(m.texts[id]) >= 0) parts.types[id] = VocabSpec::byte;
  parts.model = std::make_unique<Unigram>(m);
}

void read_wordpiece(const element& model, const JsonVocab& vocab, TokenizerParts& parts) {
  WordPieceModel m;
  m.texts = own_texts(vocab);
  m.unk = vocab.named(model, "unk_token", "[UNK]");
  m.prefix = text(model, "continuing_subword_prefix", "/model", "##");
  bool present = false;
  const element most = member(model, "max_input_chars_per_word", present);
  uint64_t count = m.max_characters;
  require(!present || most.get(count) == simdjson::SUCCESS, ErrorCode::corrupt,
          "tokenizer.json: /model/max_input_chars_per_word is no count");
  m.max_characters = size_t(count);
  if (m.unk >= 0) parts.unk = m.unk;
  parts.model = std::make_unique<WordPiece>(m);
}

void read_wordlevel(const element& model, const JsonVocab& vocab, TokenizerParts& parts) {
  const TokenId unk = vocab.named(model, "unk_token", "<unk>");
  if (unk >= 0) parts.unk = unk;
  parts.model = std::make_unique<WordLevel>(own_texts(vocab), unk);
}

}  // namespace gale
