#include <algorithm>
#include <unordered_map>

#include "base/fail.h"
#include "base/log.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/pre_names.h"
#include "tokenizer/rwkv.h"
#include "tokenizer/score_merges.h"
#include "tokenizer/unigram.h"
#include "tokenizer/wordlevel.h"
#include "tokenizer/wordpiece.h"

namespace gale {
namespace {

using Kind = VocabSpec::Kind;
using Units = SentencePieceFile::Units;

constexpr double kSymbolScore = 0.1;  // sentencepiece's for a byte of a user-defined token: better than any other token's

void check(const VocabSpec& spec) {
  const size_t n = spec.tokens.size();
  require(n > 0, ErrorCode::corrupt, "tokenizer.ggml.tokens is empty");
  require(n <= size_t(kMaxVocab), ErrorCode::corrupt, "tokenizer.ggml.tokens has {} entries; at most {} are read", n, kMaxVocab);
  require(spec.types.empty() || spec.types.size() == n, ErrorCode::corrupt,
          "tokenizer.ggml.token_type has {} entries, tokenizer.ggml.tokens has {}", spec.types.size(), n);
  const bool scored = spec.kind == Kind::sentencepiece_bpe || spec.kind == Kind::unigram;
  require(!scored || spec.scores.size() == n, ErrorCode::corrupt,
          "tokenizer.ggml.scores has {} entries, tokenizer.ggml.tokens has {}", spec.scores.size(), n);
  for (size_t i = 0; i < spec.types.size(); ++i)
    require(spec.types[i] >= VocabSpec::normal && spec.types[i] <= VocabSpec::byte, ErrorCode::corrupt,
            "tokenizer.ggml.token_type[{}] is {}; types go from 1 to 6", i, spec.types[i]);
  const auto in_range = [&](const std::optional<TokenId>& id, const char* name) {
    require(!id || (*id >= 0 && size_t(*id) < n), ErrorCode::corrupt, "tokenizer.ggml.{}_token_id is {}, but there are {} tokens",
            name, id.value_or(-1), n);
  };
  in_range(spec.bos, "bos");
  in_range(spec.eos, "eos");
  in_range(spec.unk, "unknown");
  in_range(spec.pad, "padding");
  in_range(spec.cls, "cls");
  in_range(spec.sep, "seperator");  // as the key is spelled
  require(!spec.add_bos || spec.bos, ErrorCode::corrupt, "tokenizer.ggml.add_bos_token is set, but there is no bos_token_id");
  require(!spec.add_eos || spec.eos, ErrorCode::corrupt, "tokenizer.ggml.add_eos_token is set, but there is no eos_token_id");
}

// "left right" rules over texts in the file's coding. The space between is the first one that leaves both sides a text.
std::vector<Merge> read_merges(const VocabSpec& spec) {
  std::unordered_map<std::string_view, TokenId, TextHash> ids;
  for (size_t id = 0; id < spec.tokens.size(); ++id) ids.try_emplace(spec.tokens[id], TokenId(id));
  std::vector<Merge> out;
  out.reserve(spec.merges.size());
  std::string joined;
  for (size_t i = 0; i < spec.merges.size(); ++i) {
    const std::string_view merge = spec.merges[i];
    const size_t space = merge.find(' ', 1);
    require(space != std::string_view::npos && space + 1 < merge.size(), ErrorCode::corrupt,
            "tokenizer.ggml.merges[{}] '{}' is not two pieces with a space between", i, merge.substr(0, 80));
    const auto id_of = [&](std::string_view piece) {
      const auto id = ids.find(piece);
      require(id != ids.end(), ErrorCode::corrupt,
              "tokenizer.ggml.merges[{}] names '{}', which tokenizer.ggml.tokens does not have", i, piece.substr(0, 80));
      return id->second;
    };
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    joined.assign(left).append(right);
    out.push_back({id_of(left), id_of(right), id_of(joined), uint32_t(i)});
  }
  return out;
}

void add_tokens(const VocabSpec& spec, TokenizerParts& parts) {
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const int32_t type = parts.types[id];
    const bool special = type == VocabSpec::control || type == VocabSpec::unknown;
    if ((!special && type != VocabSpec::user_defined) || spec.tokens[id].empty()) continue;
    require(valid_prefix(spec.tokens[id]) == spec.tokens[id].size(), ErrorCode::corrupt,
            "the vocabulary's token {} is looked for in texts as a whole, but is no UTF-8", id);
    const bool symbol = spec.sentencepiece && !special;
    if (symbol && spec.kind == Kind::unigram) continue;                 // its model finds them by itself
    if (symbol && spec.sentencepiece->units == Units::words) continue;  // are only left alone
    parts.added.push_back(
        {.id = TokenId(id), .content = spec.tokens[id], .special = special, .normalized = symbol, .as_written = symbol});
  }
}

void fill_byte_bpe(VocabSpec& spec, TokenizerParts& parts) {
  std::string name = spec.pre.empty() ? "default" : spec.pre;
  if (!knows_byte_bpe(name)) {
    log_warning(
        "tokenizer.ggml.pre '{}' is unknown; 'default' is read instead, which may cut words otherwise than the model was "
        "trained on. A tokenizer.json beside the file would be read first",
        name);
    name = "default";
  }
  PreRecipe recipe = byte_bpe_recipe(name);
  parts.pre_name = name;
  parts.normalizer = Normalizer(std::move(recipe.normalizer));
  recipe.steps.push_back({.kind = PreStep::Kind::byte_letters});
  parts.pre = PreTokenizer(std::move(recipe.steps));
  parts.decoder = Decoder({{.kind = DecoderStep::Kind::byte_level}});
  parts.byte_level = true;
  BpeModel& m = parts.rules;
  m.byte_level = true;
  m.ignore_merges = recipe.ignore_merges;
  m.merges = read_merges(spec);
  const size_t n = spec.tokens.size();
  m.usable.assign(n, 0);
  m.whole_words.assign(n, 0);
  for (const Merge& merge : m.merges)
    for (const TokenId id : {merge.left, merge.right, merge.result}) m.usable[size_t(id)] = 1;
  for (size_t id = 0; id < n; ++id) {
    const bool normal = parts.types[id] == VocabSpec::normal || parts.types[id] == VocabSpec::byte;
    std::optional<std::string> bytes = letters_to_bytes(spec.tokens[id]);
    m.usable[id] = bytes && (normal || m.usable[id]);
    m.whole_words[id] = bytes && normal;
    if (m.usable[id]) spec.tokens[id] = std::move(*bytes);
  }
  m.texts.assign(spec.tokens.begin(), spec.tokens.end());
}

std::shared_ptr<const AddedTokenFinder> symbols(const VocabSpec& spec) {
  std::vector<AddedToken> out;
  for (size_t id = 0; id < spec.types.size(); ++id)
    if (spec.types[id] == VocabSpec::user_defined && !spec.tokens[id].empty())
      out.push_back({.id = TokenId(id), .content = spec.tokens[id]});
  return out.empty() ? nullptr : std::make_shared<const AddedTokenFinder>(std::move(out));
}

bool own_file_collapses(const VocabSpec& spec) { return spec.sentencepiece && spec.remove_extra_whitespaces; }

// What a .model file asks for; `marks` where they say the same, which GGUF can say too.
std::vector<NormalizerStep> own_steps(const VocabSpec& spec, std::vector<NormalizerStep> marks) {
  SentencePieceRules rules{.symbols = symbols(spec),
                           .prefix = spec.add_space_prefix,
                           .suffix = spec.sentencepiece->space_suffix,
                           .collapse = spec.remove_extra_whitespaces,
                           .marks = spec.sentencepiece->space_marks};
  if (!spec.charsmap.empty()) rules.charsmap = std::make_shared<const CharsMap>(spec.charsmap, "the precompiled charsmap");
  const bool plain = !rules.charsmap && !rules.symbols && !rules.suffix && !rules.collapse && rules.marks;
  if (plain) return marks;
  return {{.kind = NormalizerStep::Kind::sentencepiece, .rules = std::move(rules)}};
}

// sentencepiece's own normalization, where the file has one, before the marks for spaces.
std::vector<NormalizerStep> sentencepiece_steps(const VocabSpec& spec, std::vector<NormalizerStep> marks) {
  if (spec.sentencepiece) return own_steps(spec, std::move(marks));
  std::vector<NormalizerStep> steps;
  if (!spec.charsmap.empty())
    steps.push_back({.kind = NormalizerStep::Kind::precompiled,
                     .charsmap = std::make_shared<const CharsMap>(spec.charsmap, "the precompiled charsmap"),
                     .match = CharsMap::Match::longest});
  if (spec.remove_extra_whitespaces) steps.push_back({.kind = NormalizerStep::Kind::collapse_spaces});
  for (NormalizerStep& step : marks) steps.push_back(std::move(step));
  return steps;
}

// Each space begins a word, and a word that the vocabulary lacks is unknown as a whole.
void fill_words(TokenizerParts& parts) {
  BpeModel& m = parts.rules;
  parts.kind.reset();
  parts.pre = PreTokenizer({{.kind = PreStep::Kind::metaspace,
                             .pattern = std::string(kWordMark),
                             .prepend = PreStep::Prepend::never,
                             .split_marks = true}});
  m.ignore_merges = true;
  m.usable.assign(m.texts.size(), 0);
  for (size_t id = 0; id < parts.types.size(); ++id) m.whole_words[id] = merges_by_score(parts.types[id]);
}

void fill_sentencepiece(VocabSpec& spec, TokenizerParts& parts) {
  PreRecipe recipe = sentencepiece_recipe(spec.pre, spec.add_space_prefix);
  parts.pre_name = spec.pre.empty() ? "default" : spec.pre;
  parts.normalizer = Normalizer(sentencepiece_steps(spec, std::move(recipe.normalizer)));
  parts.pre = PreTokenizer(std::move(recipe.steps));
  parts.decoder = sentencepiece_decoder(recipe.drops_leading_space || own_file_collapses(spec));
  BpeModel& m = parts.rules;
  m.texts.assign(spec.tokens.begin(), spec.tokens.end());
  m.byte_fallback = m.fuse_unk = true;
  m.fuse_runs = spec.sentencepiece.has_value();
  m.word_mark = kWordMark;
  m.whole_words.assign(m.texts.size(), 0);
  parts.scores = std::move(spec.scores);
  const Units units = spec.sentencepiece ? spec.sentencepiece->units : Units::pieces;
  if (units == Units::words) return fill_words(parts);
  for (const int32_t type : parts.types) m.usable.push_back(merges_by_score(type));
  if (units == Units::characters) return parts.kind.reset();
  if (spec.merges.empty()) {
    m.merges = merges_from_scores(parts.scores, m.texts, m.usable);
    m.whole_words.assign(m.texts.size(), 0);
  } else {  // rules that scores cannot say
    m.merges = read_merges(spec);
    for (const Merge& merge : m.merges)
      for (const TokenId id : {merge.left, merge.right, merge.result}) m.usable[size_t(id)] = 1;
  }
}

// BPE by rules over characters, which some files call "gpt2" too: Gemma's, with marks for spaces, and one over plain words.
bool is_character_bpe(std::string_view pre) {
  for (const char* name : {"gemma4", "granite-embed-multi-311m", "sarvam-moe", "whitespace"})
    if (pre == name) return true;
  return false;
}

void fill_character_bpe(VocabSpec& spec, TokenizerParts& parts) {
  BpeModel& m = parts.rules;
  if (spec.pre == "whitespace") {
    if (spec.lowercase) parts.normalizer = Normalizer({{.kind = NormalizerStep::Kind::lowercase}});
    parts.pre = PreTokenizer(
        {{.kind = PreStep::Kind::characters, .behavior = PreStep::Behavior::removed, .members = PreStep::Class::space}});
  } else {
    m.word_mark = kWordMark;
    parts.normalizer = Normalizer({{.kind = NormalizerStep::Kind::replace, .pattern = " ", .content = std::string(kWordMark)}});
  }
  parts.decoder = sentencepiece_decoder(false);
  m.byte_fallback = m.fuse_unk = true;
  m.merges = read_merges(spec);
  m.texts.assign(spec.tokens.begin(), spec.tokens.end());
  for (const int32_t type : parts.types) m.usable.push_back(merges_by_score(type));
  m.whole_words.assign(m.texts.size(), 0);
}

void make_bpe(VocabSpec& spec, TokenizerParts& parts) {
  parts.kind = spec.kind;
  if (spec.kind == Kind::sentencepiece_bpe) {
    fill_sentencepiece(spec, parts);
  } else if (is_character_bpe(spec.pre)) {
    fill_character_bpe(spec, parts);
    parts.kind.reset();
  } else {
    fill_byte_bpe(spec, parts);
  }
  parts.rules.vocab_size = parts.vocab_size;
  parts.rules.unk = spec.unk.value_or(-1);
  parts.model = std::make_unique<Bpe>(parts.rules);
  parts.rules.texts.clear();
}

// GGUF marks pieces that begin a word instead of those that go on.
void make_wordpiece(VocabSpec& spec, TokenizerParts& parts) {
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    std::string& text = spec.tokens[id];
    if (text.starts_with(kWordMark))
      text.erase(0, kWordMark.size());
    else if (parts.types[id] == VocabSpec::normal)
      text.insert(0, "##");
  }
  parts.normalizer = Normalizer(
      {{.kind = NormalizerStep::Kind::bert, .bert = {.strip_accents = spec.strip_accents, .lowercase = spec.lowercase}}});
  parts.pre =
      PreTokenizer({{.kind = PreStep::Kind::characters, .behavior = PreStep::Behavior::removed, .members = PreStep::Class::space},
                    {.kind = PreStep::Kind::characters, .members = PreStep::Class::punctuation}});
  parts.decoder = Decoder({{.kind = DecoderStep::Kind::wordpiece, .pattern = "##", .cleanup = true}});
  WordPieceModel m;
  m.texts.assign(spec.tokens.begin(), spec.tokens.end());
  m.unk = spec.unk.value_or(-1);
  m.max_characters = SIZE_MAX;
  parts.model = std::make_unique<WordPiece>(m);
}

void make_unigram(VocabSpec& spec, TokenizerParts& parts) {
  PreRecipe recipe = sentencepiece_recipe("default", spec.add_space_prefix);
  parts.normalizer = Normalizer(sentencepiece_steps(spec, std::move(recipe.normalizer)));
  parts.decoder = sentencepiece_decoder(spec.add_space_prefix || own_file_collapses(spec));
  UnigramModel m;
  m.texts.assign(spec.tokens.begin(), spec.tokens.end());
  m.scores.assign(spec.scores.begin(), spec.scores.end());
  m.unk = spec.unk.value_or(-1);
  for (size_t id = 0; id < parts.types.size(); ++id) {
    const int32_t type = parts.types[id];
    m.usable.push_back(merges_by_score(type));
    m.byte_fallback |= type == VocabSpec::byte;
    if (!spec.sentencepiece) continue;
    if (type == VocabSpec::user_defined) m.scores[id] = float(double(m.texts[id].size()) * kSymbolScore - kSymbolScore);
    if (type != VocabSpec::normal && type != VocabSpec::user_defined) m.scores[id] = 0;
  }
  m.as_sentencepiece = spec.sentencepiece.has_value();
  parts.model = std::make_unique<Unigram>(m);
}

void make_rwkv(VocabSpec& spec, TokenizerParts& parts) {
  for (std::string& text : spec.tokens) text = unescape_rwkv(text);
  parts.byte_level = true;
  parts.decoder = Decoder({{.kind = DecoderStep::Kind::byte_level}});
  parts.rules.usable.assign(spec.tokens.size(), 1);
  parts.model =
      std::make_unique<Rwkv>(std::vector<std::string_view>(spec.tokens.begin(), spec.tokens.end()), spec.unk.value_or(0));
}

void make_wordlevel(VocabSpec& spec, TokenizerParts& parts) {
  parts.pre = PreTokenizer({{.kind = PreStep::Kind::words}});
  parts.model =
      std::make_unique<WordLevel>(std::vector<std::string_view>(spec.tokens.begin(), spec.tokens.end()), spec.unk.value_or(-1));
}

TemplateItem fixed(TokenId id) { return {.kind = TemplateItem::tokens, .ids = {id}}; }

// [CLS] A [SEP] and [CLS] A [SEP] B [SEP]; for generative models the first text's beginning and the last one's end.
void set_surround(const VocabSpec& spec, PostProcessor& post) {
  const TemplateItem second{.kind = TemplateItem::second_text, .type_id = 1};
  if (spec.kind == Kind::wordpiece) {
    const std::optional<TokenId> cls = spec.cls ? spec.cls : spec.bos, sep = spec.sep ? spec.sep : spec.eos;
    post.single.clear();
    if (spec.add_bos && cls) post.single.push_back(fixed(*cls));
    post.single.push_back({});
    if (spec.add_eos && sep) post.single.push_back(fixed(*sep));
    post.pair = post.single;
    post.pair.push_back(second);
    if (spec.add_eos && sep) {
      post.pair.push_back(fixed(*sep));
      post.pair.back().type_id = 1;
    }
    return;
  }
  for (auto* items : {&post.single, &post.pair}) {
    if (spec.add_bos) items->insert(items->begin(), fixed(*spec.bos));
    if (spec.add_eos) items->push_back(fixed(*spec.eos));
  }
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::from_vocab(VocabSpec spec) {
  check(spec);
  TokenizerParts parts;
  parts.types = spec.types;
  if (parts.types.empty()) parts.types.assign(spec.tokens.size(), VocabSpec::normal);
  parts.vocab_size = int32_t(spec.tokens.size());
  parts.bos = spec.bos;
  parts.eos = spec.eos;
  parts.unk = spec.unk;
  parts.pad = spec.pad;
  set_surround(spec, parts.post);
  if (spec.kind != Kind::rwkv) add_tokens(spec, parts);
  switch (spec.kind) {
    case Kind::byte_bpe:
    case Kind::sentencepiece_bpe:
      make_bpe(spec, parts);
      break;
    case Kind::wordpiece:
      make_wordpiece(spec, parts);
      break;
    case Kind::unigram:
      make_unigram(spec, parts);
      break;
    case Kind::rwkv:
      make_rwkv(spec, parts);
      break;
    case Kind::wordlevel:
      make_wordlevel(spec, parts);
      break;
  }
  return std::make_unique<Pipeline>(std::move(parts));
}

}  // namespace gale
