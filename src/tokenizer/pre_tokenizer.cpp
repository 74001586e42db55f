#include "tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "base/fail.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/unicode.h"

namespace gale {
namespace {

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

// Cuts each word into matches and gaps: visit(word, part(begin, end, match)).
template <class Find>
void split(const PreStep& step, std::vector<Span>& spans, Find find) {
  std::vector<Span> out;
  out.reserve(spans.size() * 2);
  std::vector<Part> parts;
  for (const Span s : spans) {
    if (step.behavior == PreStep::Behavior::isolated) {
      find(s, [&](uint32_t begin, uint32_t end, bool) { add(out, {begin, end}); });
      continue;
    }
    parts.clear();
    find(s, [&](uint32_t begin, uint32_t end, bool match) { parts.push_back({{begin, end}, match != step.invert}); });
    keep(parts, step.behavior, out);
  }
  spans = std::move(out);
}

void split_by_regex(const PreStep& step, std::string_view text, RegexScratch& scratch, std::vector<Span>& spans) {
  std::string buffer;
  const std::string_view subject = step.regex->subject(text, buffer);
  split(step, spans, [&](Span s, auto part) {
    for_each_match(*step.regex, subject.substr(s.begin, s.end - s.begin), scratch, [&](size_t begin, size_t end, bool match) {
      part(s.begin + uint32_t(begin), s.begin + uint32_t(end), match);
    });
  });
}

bool is_member(PreStep::Class members, char32_t code) noexcept {
  switch (members) {
    case PreStep::Class::digit:
      return code < 0x80 ? code >= '0' && code <= '9' : unicode::contains(unicode::numeric(), code);
    case PreStep::Class::punctuation:
      if (code >= 0x80) return unicode::contains(unicode::punctuation(), code);
      return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') ||
             (code >= '{' && code <= '~');
    case PreStep::Class::space:
      return is_space(code);
  }
  return false;
}

void split_by_class(const PreStep& step, std::string_view text, std::vector<Span>& spans) {
  split(step, spans, [&](Span s, auto part) {
    uint32_t gap = s.begin;
    size_t length;
    for (uint32_t at = s.begin; at < s.end; at += uint32_t(length)) {
      if (!is_member(step.members, utf8_next(text, at, length))) continue;
      if (gap < at) part(gap, at, false);
      gap = at + uint32_t(length);
      part(at, gap, true);
    }
    if (gap < s.end) part(gap, s.end, false);
  });
}

// Runs of word characters and runs of others; spaces go.
void split_words(std::string_view text, std::vector<Span>& spans) {
  std::vector<Span> out;
  for (const Span s : spans) {
    int before = 0;  // 0: space, 1: word, 2: other
    size_t length;
    for (uint32_t at = s.begin; at < s.end; at += uint32_t(length)) {
      const char32_t code = utf8_next(text, at, length);
      const int kind = is_word(code) ? 1 : is_space(code) ? 0 : 2;
      if (kind != 0 && kind == before)
        out.back().end = at + uint32_t(length);
      else if (kind != 0)
        out.push_back({at, at + uint32_t(length)});
      before = kind;
    }
  }
  spans = std::move(out);
}

// Cuts where the script changes. What belongs to all scripts stays with what is before it, and goes where nothing is.
void split_scripts(std::string_view text, std::vector<Span>& spans) {
  std::vector<Span> out;
  for (const Span s : spans) {
    char32_t before = 0;
    size_t length;
    bool open = false;
    for (uint32_t at = s.begin; at < s.end; at += uint32_t(length)) {
      const char32_t script = unicode::value_of(unicode::script(), utf8_next(text, at, length));
      if (script != 0 && script != before) out.push_back({at, s.end}), open = true;
      if (script != 0) before = script;
      if (open) out.back().end = at + uint32_t(length);
    }
  }
  spans = std::move(out);
}

void split_fixed(size_t characters, std::string_view text, std::vector<Span>& spans) {
  std::vector<Span> out;
  for (const Span s : spans) {
    uint32_t begin = s.begin;
    size_t count = 0;
    for (uint32_t at = s.begin; at < s.end;) {
      at += uint32_t(utf8_length(text[at]));
      if (++count < characters && at < s.end) continue;
      out.push_back({begin, at});
      begin = at, count = 0;
    }
  }
  spans = std::move(out);
}

// Rewrites each word by itself: rewrite(part, span, out) uses up the part.
template <class Rewrite>
void rewrite_spans(SourceText& text, std::vector<Span>& spans, Rewrite rewrite) {
  Rewriter out(text);
  const std::string_view bytes = text.bytes;
  for (Span& s : spans) {
    out.skip(s.begin - out.at());
    const auto begin = uint32_t(out.size());
    rewrite(bytes.substr(s.begin, s.end - s.begin), s, out);
    s = {begin, uint32_t(out.size())};
  }
  out.finish();
}

void put_space(SourceText& text, std::vector<Span>& spans) {
  rewrite_spans(text, spans, [](std::string_view part, Span, Rewriter& out) {
    if (!part.starts_with(' ')) out.insert_before(" ");
    out.copy(part.size());
  });
}

void to_letters(SourceText& text, std::vector<Span>& spans) {
  rewrite_spans(text, spans, [](std::string_view part, Span, Rewriter& out) {
    for (size_t at = 0; at < part.size();) {
      const size_t end = at + utf8_length(part[at]);
      for (int change = 0; at < end; ++at, change = 1) out.put(byte_letter(uint8_t(part[at])), change);
    }
  });
}

void to_bytes(SourceText& text, std::vector<Span>& spans) {
  rewrite_spans(text, spans, [](std::string_view part, Span, Rewriter& out) {
    for (const char byte : letters_to_bytes(part).value_or("")) out.put(std::string_view(&byte, 1), 0);
  });
}

void put_marks(const PreStep& step, size_t start, SourceText& text, std::vector<Span>& spans) {
  const std::string& mark = step.pattern;
  const auto wanted = [&](Span s) {
    if (step.prepend != PreStep::Prepend::first) return step.prepend == PreStep::Prepend::always;
    return text.tracked ? s.begin < text.origins.size() && text.origins[s.begin].begin == 0 : s.begin < start;
  };
  rewrite_spans(text, spans, [&](std::string_view part, Span s, Rewriter& out) {
    if (wanted(s) && !part.starts_with(' ') && !part.starts_with(mark)) out.insert_before(mark);
    while (!part.empty()) {
      const size_t space = std::min(part.find(' '), part.size());
      out.copy(space);
      part.remove_prefix(space);
      if (part.empty()) break;
      out.skip(1);
      out.insert(mark);
      part.remove_prefix(1);
    }
  });
  if (!step.split_marks) return;
  std::vector<Span> words;
  for (const Span s : spans) {
    uint32_t begin = s.begin;
    const std::string_view word = std::string_view(text.bytes).substr(0, s.end);
    for (size_t at; (at = word.find(mark, begin + 1)) < s.end; begin = uint32_t(at)) add(words, {begin, uint32_t(at)});
    add(words, {begin, s.end});
  }
  spans = std::move(words);
}

bool marks_first(const PreStep& s) { return s.kind == PreStep::Kind::metaspace && s.prepend == PreStep::Prepend::first; }

bool rewrites(const PreStep& step) {
  return step.kind == PreStep::Kind::prefix_space || step.kind == PreStep::Kind::byte_letters ||
         step.kind == PreStep::Kind::metaspace;
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

PreTokenizer::PreTokenizer(std::vector<PreStep> steps, bool bytes) : steps_(std::move(steps)), bytes_(bytes) {
  for (const PreStep& s : steps_) {
    byte_level_ |= s.kind == PreStep::Kind::byte_letters;
    bytes_ &= !byte_level_ || s.kind != PreStep::Kind::metaspace;  // whose marks are no letters
  }
  if (bytes_ && !steps_.empty() && steps_.back().kind == PreStep::Kind::byte_letters) steps_.pop_back();
}

bool PreTokenizer::asks_for_start() const { return std::any_of(steps_.begin(), steps_.end(), marks_first); }

bool PreTokenizer::asks_for_origins() const {
  const auto last = std::find_if(steps_.rbegin(), steps_.rend(), marks_first);
  return last != steps_.rend() && std::any_of(last + 1, steps_.rend(), rewrites);
}

void PreTokenizer::run(SourceText& text, size_t start, RegexScratch& scratch, std::vector<Span>& words) const {
  words.assign(1, Span{0, uint32_t(text.bytes.size())});
  bool letters = false, rewritten = false;
  for (const PreStep& step : steps_) {
    switch (step.kind) {
      case PreStep::Kind::split:
        split_by_regex(step, text.bytes, scratch, words);
        break;
      case PreStep::Kind::characters:
        split_by_class(step, text.bytes, words);
        break;
      case PreStep::Kind::words:
        split_words(text.bytes, words);
        break;
      case PreStep::Kind::scripts:
        split_scripts(text.bytes, words);
        break;
      case PreStep::Kind::fixed_length:
        split_fixed(step.length, text.bytes, words);
        break;
      case PreStep::Kind::prefix_space:
        put_space(text, words);
        break;
      case PreStep::Kind::byte_letters:
        to_letters(text, words);
        letters = true;
        break;
      case PreStep::Kind::metaspace:
        put_marks(step, start, text, words);
        break;
    }
    if (!rewrites(step)) continue;
    rewritten = true;
    require(text.bytes.size() <= scratch.budget.bytes, ErrorCode::invalid_argument,
            "the tokenizer's pre-tokenizers make the text more than 32 times as long; use fewer ByteLevel and Metaspace steps");
  }
  if (rewritten) scratch.budget.bytes -= text.bytes.size();
  if (letters && bytes_) to_bytes(text, words);
}

}  // namespace gale
