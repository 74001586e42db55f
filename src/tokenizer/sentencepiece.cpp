#include "tokenizer/sentencepiece.h"

#include <cstring>

#include "base/fail.h"
#include "tokenizer/pipeline.h"

namespace gale {
namespace {

// One message of protocol buffers, field by field. Groups, which these files have none of, are refused.
class Message {
 public:
  Message(std::string_view bytes, size_t offset) : bytes_(bytes), offset_(offset) {}

  bool next() {
    if (at_ == bytes_.size()) return false;
    const uint64_t key = varint();
    field = uint32_t(key >> 3);
    number = 0;
    text = {};
    switch (key & 7) {
      case 0:
        number = varint();
        break;
      case 1:
        take(8);
        break;
      case 2: {
        const uint64_t size = varint();
        text_offset = offset_ + at_;
        text = take(size);
        break;
      }
      case 5: {
        const std::string_view four = take(4);
        std::memcpy(&real, four.data(), 4);
        break;
      }
      default:
        bad();
    }
    return true;
  }
  Message inner() const { return {text, text_offset}; }

  uint32_t field = 0;
  uint64_t number = 0;
  float real = 0;
  std::string_view text;
  size_t text_offset = 0;

 private:
  [[noreturn]] void bad() const {
    fail(ErrorCode::corrupt, "the sentencepiece model makes no sense at byte {}; is it a .model file?", offset_ + at_);
  }
  uint64_t varint() {
    uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) bad();
      const auto byte = uint8_t(bytes_[at_++]);
      out |= uint64_t(byte & 0x7f) << shift;
      if (byte < 0x80) return out;
    }
    bad();
  }
  std::string_view take(uint64_t size) {
    if (size > bytes_.size() - at_) bad();
    const std::string_view out = bytes_.substr(at_, size_t(size));
    at_ += size_t(size);
    return out;
  }
  std::string_view bytes_;
  size_t offset_, at_ = 0;
};

struct Trainer {
  uint64_t type = 1;
  std::string bos = "<s>", eos = "</s>", pad = "<pad>";
  bool space_suffix = false;
};

enum TrainerType : uint64_t { unigram = 1, bpe = 2, word = 3, character = 4 };

void read_piece(Message piece, VocabSpec& spec) {
  std::string text;
  float score = 0;
  int32_t type = VocabSpec::normal;
  while (piece.next()) {
    if (piece.field == 1) text = piece.text;
    if (piece.field == 2) score = piece.real;
    if (piece.field == 3) type = int32_t(piece.number);
  }
  require(type >= VocabSpec::normal && type <= VocabSpec::byte, ErrorCode::corrupt, "sentencepiece model: piece {} is of type {}",
          spec.tokens.size(), type);
  require(int64_t(spec.tokens.size()) < kMaxVocab, ErrorCode::corrupt, "sentencepiece model: more than {} pieces", kMaxVocab);
  spec.tokens.push_back(std::move(text));
  spec.scores.push_back(score);
  spec.types.push_back(type);
}

Trainer read_trainer(Message m) {
  Trainer out;
  while (m.next()) {
    if (m.field == 3) out.type = m.number;
    if (m.field == 24) out.space_suffix = m.number != 0;
    if (m.field == 46 && !m.text.empty()) out.bos = m.text;
    if (m.field == 47 && !m.text.empty()) out.eos = m.text;
    if (m.field == 48 && !m.text.empty()) out.pad = m.text;
  }
  return out;
}

void read_normalizer(Message m, VocabSpec& spec) {
  while (m.next()) {
    if (m.field == 2) spec.charsmap = m.text;
    if (m.field == 3) spec.add_space_prefix = m.number != 0;
    if (m.field == 4) spec.remove_extra_whitespaces = m.number != 0;
    if (m.field == 5) spec.sentencepiece->space_marks = m.number != 0;
  }
}

}  // namespace

VocabSpec read_sentencepiece(std::string_view file) {
  VocabSpec spec;
  spec.remove_extra_whitespaces = true;
  spec.sentencepiece.emplace();
  Trainer trainer;
  for (Message m(file, 0); m.next();) {
    if (m.field == 1) read_piece(m.inner(), spec);
    if (m.field == 2) trainer = read_trainer(m.inner());
    if (m.field == 3) read_normalizer(m.inner(), spec);
  }
  require(!spec.tokens.empty(), ErrorCode::corrupt, "sentencepiece model: it has no pieces");
  require(trainer.type >= unigram && trainer.type <= character, ErrorCode::unsupported,
          "sentencepiece model: its type is {}; Gale knows unigram (1), bpe (2), word (3) and char (4)", trainer.type);
  spec.kind = trainer.type == unigram ? VocabSpec::Kind::unigram : VocabSpec::Kind::sentencepiece_bpe;
  using Units = SentencePieceFile::Units;
  if (trainer.type == word) spec.sentencepiece->units = Units::words;
  if (trainer.type == character) spec.sentencepiece->units = Units::characters;
  // The pieces say which is which; the ids that the trainer was given can be those of before they were rearranged.
  const auto id_of = [&](int32_t type, std::string_view text) -> std::optional<TokenId> {
    for (size_t i = 0; i < spec.tokens.size(); ++i)
      if (spec.types[i] == type && (type == VocabSpec::unknown || spec.tokens[i] == text)) return TokenId(i);
    return std::nullopt;
  };
  spec.sentencepiece->space_suffix = trainer.space_suffix;
  spec.unk = id_of(VocabSpec::unknown, "");
  spec.bos = id_of(VocabSpec::control, trainer.bos);
  spec.eos = id_of(VocabSpec::control, trainer.eos);
  spec.pad = id_of(VocabSpec::control, trainer.pad);
  spec.add_bos = spec.kind == VocabSpec::Kind::sentencepiece_bpe && spec.bos;
  spec.add_eos = spec.kind == VocabSpec::Kind::unigram && spec.eos;
  return spec;
}

}  // namespace gale
