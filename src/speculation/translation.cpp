#include "speculation/translation.h"

#include <algorithm>
#include <optional>

#include "base/fail.h"

namespace gale {
namespace {

constexpr size_t kUnsettled = 8;   // tokens at the end that more text may change: no word of a usual text has more
constexpr size_t kMostTail = 64;   // then a cut is made where there is no space either,
constexpr size_t kMostWord = 512;  // by tokenizers that would put one there a little later
constexpr size_t kBefore = 12;     // of their tokens, told again so that a guess is cut as it would be behind them
constexpr EncodeOptions kPlain = {.add_special = false, .parse_special = false};

/// Tokens, and where each begins in the text.
struct Pieces {
  std::vector<TokenId> ids;
  std::vector<size_t> begins;
};

/// Of a text, or of a piece from inside one: then tokenizers that put a space before every text have a space taken away first.
Pieces cut(const Tokenizer& tokenizer, std::string_view text, bool inside) {
  const bool adds = tokenizer.strips_leading_space(), spaced = adds && inside && text.starts_with(' ');
  Pieces out{.ids = tokenizer.encode(text.substr(spaced), kPlain), .begins = {}};
  size_t at = 0;
  for (const TokenId id : out.ids) {
    out.begins.push_back(at);
    at += out.begins.size() == 1 && adds && !spaced ? tokenizer.first_piece(id).size() : tokenizer.piece(id).size();
  }
  return out;
}

}  // namespace

Translation::Translation(const Tokenizer& theirs, const Tokenizer& ours)
    : theirs_(theirs), ours_(ours), their_begin_(theirs.encode("")), our_begin_(ours.encode("")) {
  require(theirs.piecewise() && ours.piecewise(), ErrorCode::unsupported,
          "the draft model has another vocabulary, and its tokens cannot be told in the model's: the {} tokenizer joins words in "
          "its own "
          "way; take a draft model with the same vocabulary",
          theirs.piecewise() ? "draft's" : "model's");
}

bool Translation::is_needless(const Tokenizer& a, const Tokenizer& b) {
  if (a.vocab_size() != b.vocab_size()) return false;
  for (TokenId id = 0; id < a.vocab_size(); ++id)
    if (a.token_text(id) != b.token_text(id)) return false;
  return true;
}

void Translation::follow(Text& out, std::span<const TokenId> text) const {
  if (out.taken == 0) {
    out.tokens = our_begin_;
    out.stable = out.tokens.size();
    if (text.size() >= their_begin_.size() && std::ranges::equal(their_begin_, text.first(their_begin_.size())))
      out.taken = their_begin_.size();
  }
  for (; out.taken < text.size(); ++out.taken) {
    const TokenId id = text[out.taken];
    if (!theirs_.is_special(id)) {
      out.tail += out.tokens.size() == our_begin_.size() && out.tail.empty() ? theirs_.first_piece(id) : theirs_.piece(id);
      continue;
    }
    settle(out, true);
    const auto same = ours_.find(theirs_.token_text(id));
    if (same && ours_.is_special(*same)) out.tokens.push_back(*same), ++out.stable;
  }
  settle(out, false);
}

/// Cuts the tail into tokens anew; those that are far enough from the end, or all, become stable.
void Translation::settle(Text& out, bool all) const {
  out.tokens.resize(out.stable);
  if (out.tail.empty()) return;
  const Pieces made = cut(ours_, out.tail, out.stable > our_begin_.size());
  out.tokens.insert(out.tokens.end(), made.ids.begin(), made.ids.end());
  if (all) {
    out.stable = out.tokens.size();
    out.tail.clear();
    return;
  }
  const size_t n = made.ids.size();
  if (n <= kUnsettled) return;
  const auto is_space = [&](size_t i) { return made.begins[i] < out.tail.size() && out.tail[made.begins[i]] == ' '; };
  size_t settled = n - kUnsettled;
  while (settled > 0 && !is_space(settled)) --settled;
  if (settled == 0 && n > (ours_.strips_leading_space() ? kMostWord : kMostTail)) settled = n - kUnsettled;
  out.stable += settled;
  out.tail.erase(0, made.begins[settled]);
}

/// The bytes of the last tokens, from a space on where there is one.
std::string Translation::end_of(std::span<const TokenId> text) const {
  size_t first = text.size(), spaced = text.size();
  while (first > 0 && text.size() - first < kBefore && !theirs_.is_special(text[first - 1]))
    if (theirs_.piece(text[--first]).starts_with(' ')) spaced = first;
  std::string out;
  for (const TokenId id : text.subspan(spaced < text.size() ? spaced : first)) out += theirs_.piece(id);
  return out;
}

std::vector<TokenId> Translation::back(std::span<const TokenId> text, std::span<const TokenId> guess) const {
  std::string said;
  std::vector<TokenId> out;
  std::optional<TokenId> last;  // a special token, behind which there is no more to guess
  for (const TokenId id : guess) {
    if (ours_.is_special(id)) {
      last = theirs_.find(ours_.token_text(id));
      if (last && !theirs_.is_special(*last)) last.reset();
      break;
    }
    said += ours_.piece(id);
  }
  if (!said.empty()) {
    const std::string before = end_of(text);
    const Pieces made = cut(theirs_, before + said, true);
    const auto at = std::ranges::find(made.begins, before.size());  // else what is guessed is one token with what stands there
    if (at == made.begins.end()) return out;
    out.assign(made.ids.begin() + (at - made.begins.begin()), made.ids.end());
  }
  if (last) out.push_back(*last);
  return out;
}

}  // namespace gale
