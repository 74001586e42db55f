#include "tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "tokenizer/byte_level.h"

namespace gale {
namespace {

using Span = PreTokenizer::Span;

struct Part {
  Span span;
  bool match;
};

void add(std::vector<Span>& out, Span s) {
  if (s.begin < s.end) out.push_back(s);
}

// The five ways of keeping matches and gaps.
void keep(std::vector<Part>& parts, PreStep::Behavior behavior, std::vector<Span>& out) {
  std::vector<Span> kept;
  bool match_before = false;
  switch (behavior) {
    case PreStep::Behavior::removed:
      for (const Part& p : parts)
        if (!p.match) kept.push_back(p.span);
      break;
    case PreStep::Behavior::isolated:
      for (const Part& p : parts) kept.push_back(p.span);
      break;
    case PreStep::Behavior::contiguous:
      for (const Part& p : parts) {
        if (!kept.empty() && p.match == match_before)
          kept.back().end = p.span.end;
        else
          kept.push_back(p.span);
        match_before = p.match;
      }
      break;
    case PreStep::Behavior::merged_with_previous:
      for (const Part& p : parts) {
        if (p.match && !match_before && !kept.empty())
          kept.back().end = p.span.end;
        else
          kept.push_back(p.span);
        match_before = p.match;
      }
      break;
    case PreStep::Behavior::merged_with_next:
      for (size_t i = parts.size(); i-- > 0;) {
        if (parts[i].match && !match_before && !kept.empty())
          kept.back().begin = parts[i].span.begin;
        else
          kept.push_back(parts[i].span);
        match_before = parts[i].match;
      }
      std::reverse(kept.begin(), kept.end());
      break;
  }
  for (const Span& s : kept) add(out, s);
}

void split(const PreStep& step, std::string_view text, RegexScratch& scratch, std::vector<Span>& spans) {
  std::vector<Span> out;
  out.reserve(spans.size() * 2);
  std::vector<Part> parts;
  for (const Span s : spans) {
    const std::string_view part = text.substr(s.begin, s.end - s.begin);
    if (step.behavior == PreStep::Behavior::isolated) {
      for_each_match(*step.regex, part, scratch,
                     [&](size_t begin, size_t end, bool) { add(out, {s.begin + uint32_t(begin), s.begin + uint32_t(end)}); });
      continue;
    }
    parts.clear();
    for_each_match(*step.regex, part, scratch, [&](size_t begin, size_t end, bool match) {
      parts.push_back({{s.begin + uint32_t(begin), s.begin + uint32_t(end)}, match != step.invert});
    });
    keep(parts, step.behavior, out);
  }
  spans = std::move(out);
}

// Rewrites each span by itself: rewrite(part, index, new text).
template <class Rewrite>
void rewrite_spans(std::string& text, std::vector<Span>& spans, Rewrite rewrite) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (Span& s : spans) {
    const uint32_t begin = uint32_t(out.size());
    rewrite(std::string_view(text).substr(s.begin, s.end - s.begin), size_t(&s - spans.data()), out);
    s = {begin, uint32_t(out.size())};
  }
  text = std::move(out);
}

void put_marks(const PreStep& step, bool first, bool continued, std::string& text, std::vector<Span>& spans) {
  const std::string& mark = step.pattern;
  rewrite_spans(text, spans, [&](std::string_view part, size_t index, std::string& out) {
    const bool has_one = part.starts_with(' ') || part.starts_with(mark);
    const bool wanted = step.prepend == PreStep::Prepend::always || (step.prepend == PreStep::Prepend::first && first);
    const bool at_invalid = continued && index == 0;
    if (wanted && !has_one && !at_invalid && (step.prepend == PreStep::Prepend::always || index == 0)) out += mark;
    for (const char c : part) c == ' ' ? out += mark : out += c;
  });
  if (!step.split_marks) return;
  std::vector<Span> words;
  for (const Span s : spans) {
    uint32_t begin = s.begin;
    for (size_t at; (at = text.find(mark, begin + 1)) < s.end; begin = uint32_t(at)) add(words, {begin, uint32_t(at)});
    add(words, {begin, s.end});
  }
  spans = std::move(words);
}

}  // namespace

PreStep split_step(std::string_view pattern, std::string_view where, PreStep::Behavior behavior, bool invert) {
  PreStep step{.kind = PreStep::Kind::split, .behavior = behavior, .invert = invert};
  for (const char c : pattern) {
    if (c == '\r')
      step.pattern += "\\r";
    else if (c == '\n')
      step.pattern += "\\n";
    else
      step.pattern += c;
  }
  step.regex = std::make_shared<const Regex>(step.pattern, where);
  return step;
}

PreTokenizer::PreTokenizer(std::vector<PreStep> steps) : steps_(std::move(steps)) {
  for (const PreStep& s : steps_) byte_level_ |= s.kind == PreStep::Kind::byte_letters;
  if (!steps_.empty() && steps_.back().kind == PreStep::Kind::byte_letters) steps_.pop_back();
}

void PreTokenizer::run(std::string& text, bool first, bool continued, RegexScratch& scratch, std::vector<Span>& words) const {
  words.assign(1, Span{0, uint32_t(text.size())});
  bool letters = false;
  for (const PreStep& step : steps_) {
    switch (step.kind) {
      case PreStep::Kind::split:
        split(step, text, scratch, words);
        break;
      case PreStep::Kind::prefix_space:
        rewrite_spans(text, words, [&](std::string_view part, size_t index, std::string& out) {
          if (!part.starts_with(' ') && !(continued && index == 0)) out += ' ';
          out += part;
        });
        break;
      case PreStep::Kind::byte_letters:
        rewrite_spans(text, words, [](std::string_view part, size_t, std::string& out) { out += bytes_to_letters(part); });
        letters = true;
        break;
      case PreStep::Kind::metaspace:
        put_marks(step, first, continued, text, words);
        break;
    }
  }
  if (letters)
    rewrite_spans(text, words,
                  [](std::string_view part, size_t, std::string& out) { out += letters_to_bytes(part).value_or(""); });
}

}  // namespace gale
