#include <algorithm>
#include <limits>
#include <tuple>
#include <unordered_map>

#include "base/fail.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/pre_names.h"
#include "tokenizer/score_merges.h"

namespace gale {
namespace {

// GGUF has one list of tokens that are found in the text as they stand.
void check_added(const TokenizerParts& parts) {
  size_t bytes = 0;
  for (const AddedToken& t : parts.added) bytes += t.content.size();
  RegexScratch scratch(bytes);
  for (const AddedToken& t : parts.added) {
    require(t.plain(), ErrorCode::unsupported,
            "added token '{}' takes spaces along or minds word borders (single_word, lstrip, rstrip), which GGUF cannot say",
            t.content);
    if (!t.normalized || t.as_written) continue;
    require(parts.normalizer.apply(t.content, scratch) == t.content, ErrorCode::unsupported,
            "added token '{}' is looked for in normalized text, which GGUF cannot say", t.content);
  }
}

std::vector<const Merge*> by_rank(const std::vector<Merge>& merges) {
  std::vector<const Merge*> out;
  for (const Merge& m : merges) out.push_back(&m);
  std::sort(out.begin(), out.end(),
            [](const Merge* a, const Merge* b) { return a->rank != b->rank ? a->rank < b->rank : a < b; });
  return out;
}

std::vector<std::string> merge_texts(const std::vector<Merge>& merges, const std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  for (const Merge* m : by_rank(merges)) out.push_back(tokens[size_t(m->left)] + " " + tokens[size_t(m->right)]);
  return out;
}

// A token's score falls with the rank of the first rule that makes it; tokens that no rule makes come last.
std::vector<float> scores_of(const TokenizerParts& parts, size_t n) {
  std::vector<float> scores(n, -std::numeric_limits<float>::max());
  float next = 0;
  for (const Merge* m : by_rank(parts.rules.merges))
    if (scores[size_t(m->result)] < -1e30f) scores[size_t(m->result)] = next--;
  return scores;
}

// True where the scores alone lead back to the same rules in the same order, for every text.
bool scores_say_all(const TokenizerParts& parts, const VocabSpec& spec) {
  std::vector<std::string_view> texts(spec.tokens.begin(), spec.tokens.end());
  std::vector<uint8_t> usable;
  for (const int32_t type : spec.types) usable.push_back(merges_by_score(type));
  std::vector<Merge> implied = merges_from_scores(spec.scores, texts, usable);
  std::vector<Merge> stated = parts.rules.merges;
  if (implied.size() != stated.size() || texts.size() != spec.tokens.size()) return false;
  const auto by_pair = [](const Merge& a, const Merge& b) { return std::tie(a.left, a.right) < std::tie(b.left, b.right); };
  std::sort(implied.begin(), implied.end(), by_pair);
  std::sort(stated.begin(), stated.end(), by_pair);
  std::unordered_map<TokenId, std::vector<TokenId>> ends;  // result -> right sides
  for (size_t i = 0; i < stated.size(); ++i) {
    if (stated[i].left != implied[i].left || stated[i].right != implied[i].right || stated[i].result != implied[i].result)
      return false;
    ends[stated[i].result].push_back(stated[i].right);
  }
  // Two rules for one piece have one score but two ranks: the order matters where they can overlap, "a aa" against "aa a".
  for (const Merge& m : stated) {
    const auto& rights = ends[m.result];
    if (rights.size() > 1 && std::find(rights.begin(), rights.end(), m.left) != rights.end()) return false;
  }
  // All rules of a piece must come before those of the next.
  std::sort(stated.begin(), stated.end(), [](const Merge& a, const Merge& b) { return a.rank < b.rank; });
  for (size_t i = 1; i < stated.size(); ++i)
    if (spec.scores[size_t(stated[i].result)] > spec.scores[size_t(stated[i - 1].result)]) return false;
  return true;
}

void export_byte_bpe(const TokenizerParts& parts, VocabSpec& spec) {
  const std::optional<std::string> name =
      parts.pre_name.empty() ? byte_bpe_name(parts.normalizer, parts.pre, parts.rules.ignore_merges) : parts.pre_name;
  require(name.has_value(), ErrorCode::unsupported,
          "GGUF has no name for this tokenizer's normalizer and pre-tokenizer; keep the tokenizer.json beside the file");
  spec.pre = *name;
  spec.add_space_prefix = false;
  spec.merges = merge_texts(parts.rules.merges, spec.tokens);
}

void export_sentencepiece(const TokenizerParts& parts, VocabSpec& spec) {
  const std::optional<std::string> name = sentencepiece_name(parts.normalizer, parts.pre, spec.add_space_prefix);
  require(name.has_value(), ErrorCode::unsupported,
          "GGUF has no name for this tokenizer's normalizer and pre-tokenizer; keep the tokenizer.json beside the file");
  const BpeModel& m = parts.rules;
  require(m.byte_fallback && !m.ignore_merges, ErrorCode::unsupported,
          "a sentencepiece tokenizer without byte_fallback or with ignore_merges has no form in GGUF");
  spec.pre = *name;
  spec.scores = parts.scores;
  if (!spec.scores.empty()) return;
  spec.scores = scores_of(parts, spec.tokens.size());
  if (!scores_say_all(parts, spec)) spec.merges = merge_texts(m.merges, spec.tokens);
}

}  // namespace

VocabSpec export_vocab(const TokenizerParts& parts) {
  require(parts.kind.has_value(), ErrorCode::unsupported,
          "only BPE tokenizers are written to GGUF; keep the tokenizer.json beside the file");
  check_added(parts);
  const std::vector<TokenId> prefix = parts.post.prefix(), suffix = parts.post.suffix();
  require(parts.post.surrounds(), ErrorCode::unsupported, "the post-processor does not take a text just once, as GGUF does");
  require(prefix.size() <= 1 && suffix.size() <= 1, ErrorCode::unsupported,
          "the post-processor puts {} tokens before and {} after a text; GGUF knows one each", prefix.size(), suffix.size());
  VocabSpec spec;
  spec.kind = *parts.kind;
  spec.types = parts.types;
  spec.bos = parts.bos;
  spec.eos = parts.eos;
  spec.pad = parts.pad;
  spec.unk = parts.unk;
  spec.add_bos = !prefix.empty();
  spec.add_eos = !suffix.empty();
  for (TokenId id = 0; id < parts.vocab_size; ++id) {
    const std::string_view text = parts.model->text(id);
    if (spec.types[size_t(id)] == VocabSpec::unused && text.empty()) {
      spec.tokens.push_back(fmt::format("[PAD{}]", id));  // an id without a token
    } else {
      spec.tokens.push_back(parts.byte_level && parts.rules.usable[size_t(id)] ? bytes_to_letters(text) : std::string(text));
    }
  }
  for (const AddedToken& t : parts.added) spec.tokens[size_t(t.id)] = t.content;
  parts.byte_level ? export_byte_bpe(parts, spec) : export_sentencepiece(parts, spec);
  return spec;
}

}  // namespace gale
