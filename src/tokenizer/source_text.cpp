#include "tokenizer/source_text.h"

#include <algorithm>

namespace gale {

SourceText SourceText::read(std::string_view input, bool track) {
  SourceText out;
  out.tracked = track;
  if (!track) {
    if (valid_prefix(input) == input.size())
      out.bytes = input;
    else
      append_lossy(out.bytes, input, true);
    return out;
  }
  out.bytes.reserve(input.size());
  out.origins.reserve(input.size());
  for (size_t at = 0; at < input.size();) {
    const Utf8Char c = utf8_at(input, at);
    if (c.kind == Utf8Char::valid)
      out.bytes.append(input, at, c.length);
    else
      out.bytes += "\xef\xbf\xbd";
    out.origins.resize(out.bytes.size(), Origin{uint32_t(at), uint32_t(at + c.length)});
    at += c.length;
  }
  return out;
}

void SourceText::assign(const SourceText& from, size_t begin, size_t end) {
  bytes.assign(from.bytes, begin, end - begin);
  tracked = from.tracked;
  start = tracked && begin < end ? from.origins[begin].begin : 0;
  origins.clear();
  if (tracked) origins.assign(from.origins.begin() + long(begin), from.origins.begin() + long(end));
}

Origin SourceText::origin(size_t begin, size_t end) const {
  if (!tracked || begin >= end || end > origins.size()) return {};
  return {origins[begin].begin, origins[end - 1].end};
}

void Rewriter::put(std::string_view character, int change) {
  out_ += character;
  if (text_.tracked) {
    const bool before = change > 0;
    const bool known = before ? at_ > 0 : at_ < text_.origins.size();
    origins_.resize(out_.size(), known ? text_.origins[before ? at_ - 1 : at_] : Origin{text_.start, text_.start});
  }
  for (; change <= 0 && at_ < text_.bytes.size(); ++change) at_ += utf8_length(text_.bytes[at_]);
}

void Rewriter::put(char32_t code, int change) {
  char buffer[4];
  put(std::string_view(buffer, encode_utf8(code, buffer)), change);
}

void Rewriter::insert(std::string_view text) {
  out_ += text;
  if (text_.tracked) origins_.resize(out_.size(), at_ > 0 ? text_.origins[at_ - 1] : Origin{text_.start, text_.start});
}

void Rewriter::insert_before(std::string_view text) {
  out_ += text;
  if (text_.tracked) origins_.resize(out_.size(), at_ < text_.origins.size() ? text_.origins[at_] : Origin{});
}

void Rewriter::take_next() {
  if (!text_.tracked || out_.empty() || at_ >= text_.origins.size()) return;
  const size_t length = utf8_before(out_, out_.size()).length;
  std::fill(origins_.end() - long(length), origins_.end(), text_.origins[at_]);
}

void Rewriter::finish() {
  text_.bytes = std::move(out_);
  if (text_.tracked) text_.origins = std::move(origins_);
}

}  // namespace gale
