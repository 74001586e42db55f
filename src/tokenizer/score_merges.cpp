#include "tokenizer/score_merges.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/fail.h"
#include "tokenizer/hash_table.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

constexpr size_t kMaxPiece = 1024;  // real pieces have at most some hundred bytes; the work grows with the square

// Bytes of the symbol that a text starts with; bytes that are not UTF-8 are symbols of their own.
size_t symbol_length(std::string_view text, size_t at) {
  const Utf8Char c = utf8_at(text, at);
  return c.kind == Utf8Char::valid ? c.length : 1;
}

// Equal scores have equal ranks, so that the leftmost pair goes first.
std::vector<uint32_t> ranks_of(const std::vector<float>& scores) {
  const auto value = [](float s) { return std::isnan(s) ? -std::numeric_limits<float>::infinity() : s; };
  std::vector<float> sorted;
  sorted.reserve(scores.size());
  for (const float s : scores) sorted.push_back(value(s));
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  std::vector<uint32_t> out;
  out.reserve(scores.size());
  for (const float s : scores)
    out.push_back(uint32_t(std::lower_bound(sorted.begin(), sorted.end(), value(s), std::greater<>()) - sorted.begin()));
  return out;
}

}  // namespace

bool merges_by_score(int32_t type) noexcept { return type == VocabSpec::normal || type == VocabSpec::user_defined; }

std::vector<Merge> merges_from_scores(const std::vector<float>& scores, std::vector<std::string_view>& texts,
                                      std::vector<uint8_t>& usable, bool bytes) {
  const size_t n = scores.size();
  const auto symbol_at = [&](std::string_view text, size_t at) { return bytes ? 1 : symbol_length(text, at); };
  const std::vector<uint32_t> ranks = ranks_of(scores);
  std::unordered_map<std::string_view, TokenId, TextHash> ids;
  ids.reserve(n * 2);
  for (size_t id = 0; id < n; ++id) {
    if (!usable[id]) continue;
    require(texts[id].size() <= kMaxPiece, ErrorCode::unsupported,
            "token {} is {} bytes long; sentencepiece pieces of at most {} are read", id, texts[id].size(), kMaxPiece);
    ids.try_emplace(texts[id], TokenId(id));
  }
  for (size_t id = 0; id < n; ++id) {
    if (!usable[id]) continue;
    const std::string_view text = texts[id];
    for (size_t at = 0; at < text.size();) {
      const size_t length = symbol_at(text, at);
      if (ids.try_emplace(text.substr(at, length), TokenId(texts.size())).second) {
        texts.push_back(text.substr(at, length));
        usable.push_back(1);
      }
      at += length;
    }
  }
  std::vector<Merge> merges;
  for (size_t id = 0; id < n; ++id) {
    if (!usable[id] || ids.at(texts[id]) != TokenId(id)) continue;
    const std::string_view text = texts[id];
    for (size_t at = text.empty() ? 0 : symbol_at(text, 0); at < text.size(); at += symbol_at(text, at)) {
      const auto left = ids.find(text.substr(0, at));
      if (left == ids.end()) continue;
      const auto right = ids.find(text.substr(at));
      if (right != ids.end()) merges.push_back({left->second, right->second, TokenId(id), ranks[id]});
    }
  }
  return merges;
}

}  // namespace gale
