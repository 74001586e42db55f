#include "tokenizer/pipeline.h"

#include <algorithm>

#include "base/fail.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/decoder_stream.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

constexpr size_t kMaxText = size_t(1) << 28;  // keeps every offset within 32 bits whatever the steps add

std::vector<AddedToken> raw_tokens(const std::vector<AddedToken>& added) {
  std::vector<AddedToken> out;
  std::copy_if(added.begin(), added.end(), std::back_inserter(out), [](const AddedToken& t) { return !t.normalized; });
  return out;
}

// These are looked for in normalized text, so what is looked for is normalized too.
std::vector<AddedToken> normalized_tokens(const TokenizerParts& parts) {
  std::vector<AddedToken> out;
  std::copy_if(parts.added.begin(), parts.added.end(), std::back_inserter(out), [](const AddedToken& t) { return t.normalized; });
  size_t bytes = 0;
  for (const AddedToken& t : out) bytes += t.content.size();
  RegexScratch scratch(bytes);
  for (AddedToken& t : out)
    if (!t.as_written) t.content = parts.normalizer.apply(t.content, scratch);
  return out;
}

constexpr Spaces kOfModel{SIZE_MAX, 0};  // of a token that the model made: not known yet

// Spaces at an end of a token's text, as letters or as they are.
size_t spaces_at(std::string_view text, bool leading, bool bytes) {
  size_t count = 0;
  for (; !text.empty(); ++count) {
    const Utf8Char c = leading ? utf8_at(text, 0) : utf8_before(text, text.size());
    if (bytes ? c.code != ' ' : c.code != byte_letter(' ') && !is_space(c.code)) break;
    leading ? text.remove_prefix(c.length) : text.remove_suffix(c.length);
  }
  return count;
}

Spaces spaces_of(std::string_view text, bool bytes = false) {
  return {spaces_at(text, true, bytes), spaces_at(text, false, bytes)};
}

}  // namespace

// One text on its way through. `offsets`: where wanted, by token. `spaces`: where wanted, by token, so far as added tokens are
// concerned: these can have taken spaces along.
struct Pipeline::Run {
  Run(size_t text_size, EncodeOptions wanted, std::vector<TokenId>& out, std::vector<Encoding::Offset>* out_offsets = nullptr,
      std::vector<Spaces>* out_spaces = nullptr)
      : regex(text_size), model(regex.budget), options(wanted), ids(out), offsets(out_offsets), spaces(out_spaces) {}

  // Whether the text may be this token there.
  bool allows(const AddedToken& token, Origin there) const {
    if (token.special && !options.parse_special) return false;
    auto at = std::upper_bound(options.plain.begin(), options.plain.end(), size_t(there.begin),
                               [](size_t begin, const PlainRange& range) { return begin < range.end; });
    for (; at != options.plain.end() && at->begin < there.end; ++at)
      if ((*at->tokens)[size_t(token.id)]) return false;
    return true;
  }

  // An added token that was found in [begin, end) of `from`.
  void add(TokenId id, const SourceText& from, size_t begin, size_t end) {
    ids.push_back(id);
    const Origin origin = from.origin(begin, end);
    if (offsets != nullptr) offsets->push_back({origin.begin, origin.end});
    if (spaces == nullptr) return;
    spaces->resize(ids.size(), kOfModel);
    spaces->back() = spaces_of(std::string_view(from.bytes).substr(begin, end - begin));
  }

  RegexScratch regex;
  ModelScratch model;
  std::vector<Span> words, spans;
  SourceText normal, text;
  EncodeOptions options;
  std::vector<TokenId>& ids;
  std::vector<Encoding::Offset>* offsets;
  std::vector<Spaces>* spaces;
};

Pipeline::Pipeline(TokenizerParts parts)
    : parts_(std::move(parts)),
      raw_added_(raw_tokens(parts_.added)),
      prefix_(parts_.post.prefix()),
      suffix_(parts_.post.suffix()),
      surrounds_(parts_.post.surrounds()) {
  special_.assign(size_t(parts_.vocab_size), 0);
  for (size_t id = 0; id < special_.size(); ++id)
    special_[id] = parts_.types[id] == VocabSpec::control || parts_.types[id] == VocabSpec::unknown;
  for (const AddedToken& t : parts_.added) {
    added_ids_[t.content] = t.id;
    added_texts_[t.id] = t.content;
    special_[size_t(t.id)] = t.special;
  }
  std::vector<AddedToken> normalized = normalized_tokens(parts_);
  for (const AddedToken& t : normalized) added_texts_[t.id] = t.content;
  hidden_ = special_;
  if (!parts_.special_texts.empty())
    for (const auto& [id, text] : added_texts_) hidden_[size_t(id)] = parts_.special_texts.contains(text);
  normalized_added_ = AddedTokenFinder(std::move(normalized));
}

std::vector<TokenId> Pipeline::encode(std::string_view text, EncodeOptions options) const {
  if (!surrounds_) return encode_aligned(text, {}, options, nullptr).ids;
  std::vector<TokenId> out;
  out.reserve(text.size() / 4 + 8);
  if (options.add_special) out = prefix_;
  Run run(text.size(), options, out);
  encode_all(text, run);
  if (options.add_special) out.insert(out.end(), suffix_.begin(), suffix_.end());
  return out;
}

void Pipeline::encode_all(std::string_view input, Run& run) const {
  require(input.size() <= kMaxText, ErrorCode::invalid_argument, "a text of {} bytes; at most {} MiB are encoded at once",
          input.size(), kMaxText >> 20);
  // What is not rewritten stands where it stood.
  const bool moves = !run.options.plain.empty() && (finds_rewritten() || valid_prefix(input) < input.size());
  const bool track = run.offsets != nullptr || moves || parts_.pre.asks_for_origins();
  const SourceText text = SourceText::read(input, track);
  const auto place = [&](size_t begin, size_t end) {
    return track ? text.origin(begin, end) : Origin{uint32_t(begin), uint32_t(end)};
  };
  raw_added_.split(
      text.bytes, [&](const AddedToken& token, size_t begin, size_t end) { return run.allows(token, place(begin, end)); },
      [&](size_t begin, size_t end) { encode_text(text, begin, end, run); },
      [&](TokenId id, size_t begin, size_t end) { run.add(id, text, begin, end); });
}

void Pipeline::encode_text(const SourceText& text, size_t begin, size_t end, Run& run) const {
  const bool first = begin == 0;
  if (parts_.normalizer.steps().empty() && normalized_added_.empty())
    return encode_words(text, begin, end, first ? utf8_length(text.bytes[0]) : 0, run);
  run.normal.assign(text, begin, end);
  // Whether a mark is put in front can depend on what the text's own first character became.
  const bool watch = first && parts_.pre.asks_for_start() && !run.normal.tracked;
  if (watch) run.normal = SourceText::read(run.normal.bytes, true);
  parts_.normalizer.apply(run.normal, run.regex);
  size_t start = 0;
  while (first && start < run.normal.origins.size() && run.normal.origins[start].begin == 0) ++start;
  if (watch) run.normal.tracked = false;
  const auto place = [&](size_t from, size_t to) {
    return run.normal.tracked ? run.normal.origin(from, to) : Origin{uint32_t(begin + from), uint32_t(begin + to)};
  };
  normalized_added_.split(
      run.normal.bytes, [&](const AddedToken& token, size_t from, size_t to) { return run.allows(token, place(from, to)); },
      [&](size_t from, size_t to) { encode_words(run.normal, from, to, start - std::min(start, from), run); },
      [&](TokenId id, size_t from, size_t to) { run.add(id, run.normal, from, to); });
}

void Pipeline::encode_words(const SourceText& text, size_t begin, size_t end, size_t start, Run& run) const {
  if (begin == end) return;
  run.text.assign(text, begin, end);
  parts_.pre.run(run.text, start, run.regex, run.words);
  TokenSink sink{run.ids, run.offsets != nullptr ? &run.spans : nullptr};
  for (const Span w : run.words) {
    run.spans.clear();
    parts_.model->encode(std::string_view(run.text.bytes).substr(w.begin, w.end - w.begin), run.model, sink);
    for (const Span s : run.spans) {
      const Origin origin = run.text.origin(w.begin + s.begin, w.begin + s.end);
      run.offsets->push_back({origin.begin, origin.end});
    }
  }
}

Part Pipeline::one(std::string_view text, EncodeOptions options, int32_t type) const {
  Part out;
  Encoding& e = out.encoding;
  const bool trims = !parts_.post.trims.empty();
  Run run(text.size(), options, e.ids, &e.offsets, trims ? &out.spaces : nullptr);
  encode_all(text, run);
  e.type_ids.assign(e.size(), type);
  e.special_mask.assign(e.size(), 0);
  e.attention_mask.assign(e.size(), 1);
  if (!trims) return out;
  out.spaces.resize(e.size(), kOfModel);
  for (size_t i = 0; i < e.size(); ++i) {
    const TokenId id = e.ids[i];
    if (out.spaces[i].leading == kOfModel.leading)  // its text can be an added token's all the same
      out.spaces[i] = spaces_of(parts_.model->text(id), parts_.byte_level && parts_.rules.usable[size_t(id)]);
  }
  return out;
}

std::vector<Part> Pipeline::windows(std::string_view text, const Part& whole, const Windows& cut) const {
  std::vector<Part> out;
  for (const auto& [begin, end] : cut) {
    Part part{.encoding = whole.encoding.part(begin, end), .cut_off = !out.empty()};
    if (!whole.spaces.empty()) part.spaces.assign(whole.spaces.begin() + long(begin), whole.spaces.begin() + long(end));
    parts_.post.trim(text, part);
    out.push_back(std::move(part));
  }
  return out;
}

Encoding Pipeline::encode_aligned(std::string_view text, std::optional<std::string_view> second, EncodeOptions options,
                                  const Truncation* limit) const {
  Part a = one(text, options, 0), b;
  if (second) b = one(*second, options, 1);
  if (limit == nullptr) {
    parts_.post.trim(text, a);
    if (second) parts_.post.trim(*second, b);
    return parts_.post.apply(a, second ? &b : nullptr, options.add_special);
  }
  const Cut where = cut(a.encoding.size(), second ? std::optional(b.encoding.size()) : std::nullopt,
                        options.add_special ? parts_.post.added(second.has_value()) : 0, *limit);
  return parts_.post.apply_all(windows(text, a, where.text), second ? windows(*second, b, where.pair) : std::vector<Part>(),
                               options.add_special);
}

const std::string* Pipeline::added_text(TokenId id) const {
  const auto found = added_texts_.find(id);
  return found == added_texts_.end() ? nullptr : &found->second;
}

std::vector<TokenId> Pipeline::added_tokens() const {
  std::vector<TokenId> out;
  for (const auto& [id, text] : added_texts_) out.push_back(id);
  std::ranges::sort(out);
  return out;
}

std::string Pipeline::token_text(TokenId id) const {
  if (id < 0 || id >= parts_.vocab_size) return {};
  if (const std::string* added = added_text(id)) return *added;
  const std::string_view text = parts_.model->text(id);
  return parts_.byte_level && parts_.rules.usable[size_t(id)] ? bytes_to_letters(text) : std::string(text);
}

const Pipeline::Pieces& Pipeline::pieces(bool first) const {
  Pieces& made = first ? firsts_ : pieces_;
  std::call_once(first ? firsts_made_ : pieces_made_, [&] {
    const bool bytes = by_pieces();
    RegexScratch scratch(size_t(parts_.vocab_size));
    for (TokenId id = 0; id < parts_.vocab_size; ++id) {
      const std::string* added = added_text(id);
      if (parts_.types[size_t(id)] == VocabSpec::unused) {
        made.add("");
        continue;
      }
      if (added != nullptr && (bytes || special_[size_t(id)]))
        made.add(bytes && parts_.added_in_letters ? letters_to_bytes(*added).value_or(*added) : *added);
      else if (bytes)
        made.add(parts_.model->text(id));
      else
        made.add(parts_.decoder.piece(token_text(id), first, scratch));
    }
  });
  return made;
}

std::string_view Pipeline::piece(TokenId id) const {
  return id < 0 || id >= parts_.vocab_size ? std::string_view() : pieces(false)[id];
}

std::string_view Pipeline::first_piece(TokenId id) const {
  return id < 0 || id >= parts_.vocab_size ? std::string_view() : pieces(!parts_.decoder.is_byte_level())[id];
}

bool Pipeline::shown(TokenId id, bool with_special) const {
  return id >= 0 && id < parts_.vocab_size && parts_.types[size_t(id)] != VocabSpec::unused &&
         (with_special || hidden_[size_t(id)] == 0);
}

std::string Pipeline::decode(const std::vector<TokenId>& ids, bool with_special) const {
  if (by_pieces()) {
    std::string bytes, out;
    for (const TokenId id : ids)
      if (shown(id, with_special)) bytes += piece(id);
    append_lossy(out, bytes, true);
    return out;
  }
  std::vector<std::string> tokens;
  for (const TokenId id : ids)
    if (shown(id, with_special)) tokens.push_back(token_text(id));
  return parts_.decoder.text(std::move(tokens));
}

// Byte-level vocabularies, whose texts are their tokens' bytes.
class Pipeline::ByPieces final : public TokenDecoder {
 public:
  ByPieces(const Pipeline& pipeline, bool with_special) : pipeline_(pipeline), with_special_(with_special) {}
  void push(TokenId id, std::string& out) override {
    if (pipeline_.shown(id, with_special_)) out += pipeline_.piece(id);
  }
  void finish(std::string&) override {}

 private:
  const Pipeline& pipeline_;
  bool with_special_;
};

class Pipeline::BySteps final : public TokenDecoder {
 public:
  BySteps(const Pipeline& pipeline, bool with_special)
      : pipeline_(pipeline), with_special_(with_special), stream_(pipeline.parts_.decoder) {}
  void push(TokenId id, std::string& out) override {
    if (pipeline_.shown(id, with_special_)) stream_.push(pipeline_.token_text(id), out);
  }
  void finish(std::string& out) override { stream_.finish(out); }

 private:
  const Pipeline& pipeline_;
  bool with_special_;
  DecoderStream stream_;
};

std::unique_ptr<TokenDecoder> Pipeline::decoder(bool with_special) const {
  if (by_pieces()) return std::make_unique<ByPieces>(*this, with_special);
  return std::make_unique<BySteps>(*this, with_special);
}

std::optional<TokenId> Pipeline::find(std::string_view text) const {
  if (const auto added = added_ids_.find(text); added != added_ids_.end()) return added->second;
  const TokenId id = text.empty() ? -1 : parts_.model->find(text);
  if (id >= 0 && id < parts_.vocab_size) return id;
  return std::nullopt;
}

VocabSpec Pipeline::vocab() const { return export_vocab(parts_); }

}  // namespace gale
