#include "tokenizer/bpe_tokenizer.h"

#include <algorithm>

#include "base/fail.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

constexpr size_t kMaxText = size_t(1) << 29;  // keeps every offset within 32 bits whatever the steps add

std::vector<AddedToken> raw_tokens(const std::vector<AddedToken>& added) {
  std::vector<AddedToken> out;
  std::copy_if(added.begin(), added.end(), std::back_inserter(out), [](const AddedToken& t) { return !t.normalized; });
  return out;
}

// These are looked for in normalized text, so what is looked for is normalized too.
std::vector<AddedToken> normalized_tokens(const TokenizerParts& parts) {
  std::vector<AddedToken> out;
  for (const AddedToken& t : parts.added) {
    if (!t.normalized) continue;
    RegexScratch scratch(t.content.size());
    out.push_back(t);
    out.back().content = parts.normalizer.apply(t.content, false, scratch);
  }
  return out;
}

}  // namespace

struct BpeTokenizer::Run {
  Run(size_t text_size, bool specials, std::vector<TokenId>& ids) : regex(text_size), parse_special(specials), out(ids) {}
  RegexScratch regex;
  Bpe::Scratch bpe;
  std::vector<PreTokenizer::Span> words;
  std::string text;
  bool parse_special;
  std::vector<TokenId>& out;
};

BpeTokenizer::BpeTokenizer(TokenizerParts parts)
    : parts_(std::move(parts)),
      vocab_size_(parts_.model.vocab_size),
      bpe_(parts_.model),
      raw_added_(raw_tokens(parts_.added)),
      normalized_added_(normalized_tokens(parts_)) {
  special_.assign(size_t(vocab_size_), 0);
  for (size_t id = 0; id < size_t(vocab_size_); ++id)
    special_[id] = parts_.types[id] == VocabSpec::control || parts_.types[id] == VocabSpec::unknown;
  for (const AddedToken& t : parts_.added) {
    added_ids_[t.content] = t.id;
    special_[size_t(t.id)] = t.special;
  }
  make_pieces();
  std::vector<std::string>().swap(parts_.model.texts);
}

void BpeTokenizer::make_pieces() {
  std::unordered_map<TokenId, const std::string*> added;
  for (const AddedToken& t : parts_.added) added[t.id] = &t.content;
  piece_ends_.reserve(size_t(vocab_size_) + 1);
  piece_ends_.push_back(0);
  for (TokenId id = 0; id < vocab_size_; ++id) {
    const auto extra = added.find(id);
    if (extra != added.end() && (special_[size_t(id)] || parts_.model.byte_level)) {
      piece_bytes_ += *extra->second;
    } else if (parts_.model.byte_level) {
      piece_bytes_ += bpe_.table().text(id);  // bytes already
    } else {
      piece_bytes_ += parts_.decoder.piece(extra != added.end() ? std::string_view(*extra->second) : bpe_.table().text(id));
    }
    piece_ends_.push_back(piece_bytes_.size());
  }
}

std::vector<TokenId> BpeTokenizer::encode(std::string_view text, EncodeOptions options) const {
  require(text.size() <= kMaxText, ErrorCode::invalid_argument, "a text of {} bytes; at most {} MiB are encoded at once",
          text.size(), kMaxText >> 20);
  std::vector<TokenId> out;
  out.reserve(text.size() / 4 + 8);
  if (options.add_special) out = parts_.prefix;
  Run run(text.size(), options.parse_special, out);
  raw_added_.split(
      text, options.parse_special,
      [&](size_t begin, size_t end) { encode_text(text.substr(begin, end - begin), begin == 0, run); },
      [&](TokenId id) { out.push_back(id); });
  if (options.add_special) out.insert(out.end(), parts_.suffix.begin(), parts_.suffix.end());
  return out;
}

// Text between added tokens: valid stretches go the whole way, other bytes straight to their tokens.
void BpeTokenizer::encode_text(std::string_view text, bool first, Run& run) const {
  bool continued = false;
  while (!text.empty()) {
    const size_t valid = valid_prefix(text);
    if (valid > 0) {
      const std::string_view part = text.substr(0, valid);
      const std::string normal =
          parts_.normalizer.steps().empty() ? std::string() : parts_.normalizer.apply(part, continued, run.regex);
      const std::string_view ready = parts_.normalizer.steps().empty() ? part : std::string_view(normal);
      if (normalized_added_.empty()) {
        encode_normalized(ready, first, continued, run);
      } else {
        normalized_added_.split(
            ready, run.parse_special,
            [&](size_t begin, size_t end) {
              encode_normalized(ready.substr(begin, end - begin), first && begin == 0, continued && begin == 0, run);
            },
            [&](TokenId id) { run.out.push_back(id); });
      }
    }
    text.remove_prefix(valid);
    if (text.empty()) break;
    const uint8_t wrong = utf8_at(text, 0).length;
    for (uint8_t i = 0; i < wrong; ++i) bpe_.encode_byte(uint8_t(text[i]), run.out);
    text.remove_prefix(wrong);
    first = false;
    continued = true;
  }
}

void BpeTokenizer::encode_normalized(std::string_view text, bool first, bool continued, Run& run) const {
  if (text.empty()) return;
  run.text.assign(text);
  parts_.pre.run(run.text, first, continued, run.regex, run.words);
  for (const PreTokenizer::Span w : run.words)
    bpe_.encode(std::string_view(run.text).substr(w.begin, w.end - w.begin), run.bpe, run.out);
}

std::string_view BpeTokenizer::piece(TokenId id) const {
  if (id < 0 || id >= vocab_size_) return {};
  const size_t begin = piece_ends_[size_t(id)];
  return std::string_view(piece_bytes_).substr(begin, piece_ends_[size_t(id) + 1] - begin);
}

std::string_view BpeTokenizer::first_piece(TokenId id) const {
  std::string_view text = piece(id);
  if (parts_.decoder.leading == LeadingSpace::keep || is_special(id)) return text;
  while (text.starts_with(' ')) {
    text.remove_prefix(1);
    if (parts_.decoder.leading == LeadingSpace::drop_one) break;
  }
  return text;
}

std::optional<TokenId> BpeTokenizer::find(std::string_view text) const {
  if (const auto added = added_ids_.find(std::string(text)); added != added_ids_.end()) return added->second;
  const TokenId id = bpe_.table().find(text);
  if (id >= 0 && id < vocab_size_ && !text.empty()) return id;
  return std::nullopt;
}

VocabSpec BpeTokenizer::vocab() const { return export_vocab(parts_, bpe_.table()); }

}  // namespace gale
