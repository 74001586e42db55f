#include "tokenizer/text_stream.h"

#include <algorithm>

#include "tokenizer/utf8.h"

namespace gale {

TextStream::TextStream(const Tokenizer& tokenizer, std::vector<std::string> stop_strings, bool show_special, int64_t min_tokens)
    : decoder_(tokenizer.decoder(show_special)), min_tokens_(min_tokens + 1) {
  for (std::string& s : stop_strings)
    if (!s.empty() && valid_prefix(s) == s.size()) stops_.emplace_back(std::move(s));
}

std::string TextStream::push(TokenId id) {
  min_tokens_ -= min_tokens_ > 0;
  if (stopped()) return {};
  decoder_->push(id, tail_);
  return tail_.empty() ? std::string() : release(false);
}

std::string TextStream::flush() {
  if (stopped()) return {};
  decoder_->finish(tail_);
  return release(true);
}

std::string TextStream::release(bool final) {
  const size_t seen = held_.size();
  tail_.erase(0, append_lossy(held_, tail_, final));
  for (size_t at = seen; at < held_.size() && min_tokens_ == 0; ++at) {
    const PrefixMatch* met = nullptr;
    for (PrefixMatch& s : stops_)
      if (s.push(held_[at]) && (met == nullptr || s.text.size() > met->text.size())) met = &s;
    if (met == nullptr) continue;
    stop_ = met->text;
    std::string out = held_.substr(0, at + 1 - stop_.size());
    held_.clear();
    tail_.clear();
    return out;
  }
  size_t keep = 0;
  for (const PrefixMatch& s : stops_) keep = std::max(keep, s.matched);
  if (final) keep = 0;
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

}  // namespace gale
