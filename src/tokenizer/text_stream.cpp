#include "tokenizer/text_stream.h"

#include <algorithm>

#include "tokenizer/utf8.h"

namespace gale {
namespace {

constexpr size_t kWindow = 8;  // tokens that can change what the next one stands for

}  // namespace

TextStream::Stop::Stop(std::string stop_text) : text(std::move(stop_text)), shorter(text.size() + 1, 0) {
  for (size_t n = 1, k = 0; n < text.size(); ++n) {
    while (k > 0 && text[n] != text[k]) k = shorter[k];
    if (text[n] == text[k]) ++k;
    shorter[n + 1] = k;
  }
}

bool TextStream::Stop::push(char c) {
  while (matched > 0 && text[matched] != c) matched = shorter[matched];
  if (text[matched] == c) ++matched;
  return matched == text.size();
}

TextStream::TextStream(const Tokenizer& tokenizer, std::vector<std::string> stop_strings, bool show_special, int64_t min_tokens)
    : tokenizer_(tokenizer), show_special_(show_special), min_tokens_(min_tokens + 1) {
  for (std::string& s : stop_strings)
    if (!s.empty() && valid_prefix(s) == s.size()) stops_.emplace_back(std::move(s));
}

std::string TextStream::push(TokenId id) {
  min_tokens_ -= min_tokens_ > 0;
  if (stopped() || (!show_special_ && tokenizer_.is_special(id))) return {};
  if (!tokenizer_.piecewise()) {
    tail_ += window_text(id);
    return release(false);
  }
  const std::string_view piece = tokenizer_.piece(id), first = tokenizer_.first_piece(id);
  if (piece.empty() && first.empty()) return {};
  tail_ += at_start_ ? first : piece;
  at_start_ = false;
  return release(false);
}

// What the token adds to the text of the last few.
std::string TextStream::window_text(TokenId id) {
  const std::string before = tokenizer_.decode(window_, show_special_);
  window_.push_back(id);
  std::string after = tokenizer_.decode(window_, show_special_);
  if (window_.size() > kWindow) window_.erase(window_.begin());
  return after.starts_with(before) ? after.substr(before.size()) : std::string();
}

std::string TextStream::flush() { return stopped() ? std::string() : release(true); }

std::string TextStream::release(bool final) {
  const size_t seen = held_.size();
  tail_.erase(0, append_lossy(held_, tail_, final));
  for (size_t at = seen; at < held_.size() && min_tokens_ == 0; ++at) {
    const Stop* met = nullptr;
    for (Stop& s : stops_)
      if (s.push(held_[at]) && (met == nullptr || s.text.size() > met->text.size())) met = &s;
    if (met == nullptr) continue;
    stop_ = met->text;
    std::string out = held_.substr(0, at + 1 - stop_.size());
    held_.clear();
    tail_.clear();
    return out;
  }
  size_t keep = 0;
  for (const Stop& s : stops_) keep = std::max(keep, s.matched);
  if (final) keep = 0;
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

}  // namespace gale
