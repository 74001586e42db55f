#include <algorithm>
#include <unordered_map>

#include "base/fail.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/pre_names.h"
#include "tokenizer/score_merges.h"

namespace gale {
namespace {

using Kind = VocabSpec::Kind;

void check(const VocabSpec& spec) {
  const size_t n = spec.tokens.size();
  require(n > 0, ErrorCode::corrupt, "tokenizer.ggml.tokens is empty");
  require(n <= size_t(kMaxVocab), ErrorCode::corrupt, "tokenizer.ggml.tokens has {} entries; at most {} are read", n, kMaxVocab);
  require(spec.types.empty() || spec.types.size() == n, ErrorCode::corrupt,
          "tokenizer.ggml.token_type has {} entries, tokenizer.ggml.tokens has {}", spec.types.size(), n);
  require(spec.kind == Kind::byte_bpe || spec.scores.size() == n, ErrorCode::corrupt,
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
  require(!spec.add_bos || spec.bos, ErrorCode::corrupt, "tokenizer.ggml.add_bos_token is set, but there is no bos_token_id");
  require(!spec.add_eos || spec.eos, ErrorCode::corrupt, "tokenizer.ggml.add_eos_token is set, but there is no eos_token_id");
}

// "left right" rules over texts in the file's coding. The space between is the first one that leaves both sides a text.
std::vector<Merge> read_merges(const VocabSpec& spec) {
  std::unordered_map<std::string_view, TokenId> ids;
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
    if ((special || type == VocabSpec::user_defined) && !spec.tokens[id].empty())
      parts.added.push_back({.id = TokenId(id), .content = spec.tokens[id], .special = special});
  }
}

void fill_byte_bpe(VocabSpec& spec, TokenizerParts& parts) {
  const std::string name = spec.pre.empty() ? "default" : spec.pre;
  PreRecipe recipe = byte_bpe_recipe(name);
  parts.pre_name = name;
  parts.normalizer = Normalizer(std::move(recipe.normalizer));
  recipe.steps.push_back({.kind = PreStep::Kind::byte_letters});
  parts.pre = PreTokenizer(std::move(recipe.steps));
  BpeModel& m = parts.model;
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
    const std::optional<std::string> bytes = letters_to_bytes(spec.tokens[id]);
    m.usable[id] = bytes && (normal || m.usable[id]);
    m.whole_words[id] = bytes && normal;
    m.texts.push_back(m.usable[id] ? *bytes : spec.tokens[id]);
  }
}

void fill_sentencepiece(VocabSpec& spec, TokenizerParts& parts) {
  PreRecipe recipe = sentencepiece_recipe(spec.pre, spec.add_space_prefix);
  parts.pre_name = spec.pre.empty() ? "default" : spec.pre;
  parts.normalizer = Normalizer(std::move(recipe.normalizer));
  parts.pre = PreTokenizer(std::move(recipe.steps));
  parts.decoder = sentencepiece_decoder(recipe.drops_leading_space ? LeadingSpace::drop_one : LeadingSpace::keep);
  BpeModel& m = parts.model;
  m.texts = spec.tokens;
  m.byte_fallback = m.fuse_unk = true;
  m.word_mark = kWordMark;
  for (const int32_t type : parts.types) m.usable.push_back(merges_by_score(type));
  if (spec.merges.empty()) {
    m.merges = merges_from_scores(spec.scores, m.texts, m.usable);
  } else {  // rules that scores cannot say
    m.merges = read_merges(spec);
    for (const Merge& merge : m.merges)
      for (const TokenId id : {merge.left, merge.right, merge.result}) m.usable[size_t(id)] = 1;
  }
  m.whole_words.assign(m.texts.size(), 0);
  parts.scores = std::move(spec.scores);
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::from_vocab(VocabSpec spec) {
  check(spec);
  TokenizerParts parts;
  parts.types = spec.types;
  if (parts.types.empty()) parts.types.assign(spec.tokens.size(), VocabSpec::normal);
  parts.model.vocab_size = int32_t(spec.tokens.size());
  parts.model.unk = spec.unk.value_or(-1);
  parts.bos = spec.bos;
  parts.eos = spec.eos;
  parts.pad = spec.pad;
  if (spec.add_bos) parts.prefix = {*spec.bos};
  if (spec.add_eos) parts.suffix = {*spec.eos};
  add_tokens(spec, parts);
  if (spec.kind == Kind::byte_bpe) {
    fill_byte_bpe(spec, parts);
  } else {
    fill_sentencepiece(spec, parts);
  }
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

}  // namespace gale
