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

void read_unigram(const element& model, const JsonVocab& vocab, TokenizerParts& parts) {
  UnigramModel m;
  m.texts = vocab.texts;
  m.scores = vocab.scores;
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
  m.texts = vocab.texts;
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
  parts.model = std::make_unique<WordLevel>(vocab.texts, unk);
}

}  // namespace gale
