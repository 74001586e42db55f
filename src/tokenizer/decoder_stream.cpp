#include "tokenizer/decoder_stream.h"

#include <algorithm>
#include <utility>

#include "tokenizer/byte_level.h"
#include "tokenizer/prefix_match.h"
#include "tokenizer/utf8.h"

namespace gale {

class DecoderStream::Stage {
 public:
  virtual ~Stage() = default;
  /// More of the present text; a text begins with the first call behind the end of the one before.
  virtual void text(std::string_view part) { next->text(part); }
  virtual void end() { next->end(); }
  virtual void finish() { next->finish(); }

  Stage* next = nullptr;

 protected:
  // Hands on a buffer but for the `kept` bytes at its end.
  void hand_on(std::string& buffer, size_t kept) {
    if (buffer.size() > kept) next->text(std::string_view(buffer).substr(0, buffer.size() - kept));
    buffer.erase(0, buffer.size() - kept);
  }
};

namespace {

using Stage = DecoderStream::Stage;
using Kind = DecoderStep::Kind;

constexpr std::string_view kReplacement = "\xef\xbf\xbd";
constexpr size_t kMostHeld = 4096;    // bytes that a regular expression may wait on
constexpr size_t kMostBehind = 1024;  // bytes it may look back on: 255 characters, PCRE2's own limit

// The end of the chain.
class Sink final : public Stage {
 public:
  explicit Sink(std::string& out) : out_(out) {}
  void text(std::string_view part) override { out_ += part; }
  void end() override {}
  void finish() override {}

 private:
  std::string& out_;
};

// All texts as one.
class Fuse final : public Stage {
 public:
  void end() override {}
  void finish() override { next->end(), next->finish(); }
};

// Without a decoder: words with spaces between.
class Spaces final : public Stage {
 public:
  void text(std::string_view part) override { begin(), next->text(part); }
  void end() override { begin(), next->end(), within_ = false; }

 private:
  void begin() {
    if (!first_ && !within_) next->text(" ");
    first_ = false, within_ = true;
  }
  bool first_ = true, within_ = false;
};

class ReplaceText : public Stage {
 public:
  /// `content`: for the first text; `later`: for the others.
  ReplaceText(std::string pattern, std::string content, std::string later)
      : match_(std::move(pattern)), content_(std::move(content)), later_(std::move(later)) {}
  ReplaceText(std::string pattern, const std::string& content) : ReplaceText(std::move(pattern), content, content) {}

  void text(std::string_view part) override {
    if (match_.text.empty()) return between(part);
    for (const char c : part) {
      held_ += c;
      if (!match_.push(c)) continue;
      held_.resize(held_.size() - match_.text.size());
      held_ += content_;
      match_.matched = 0;
    }
    hand_on(held_, match_.matched);
  }
  void end() override {
    if (match_.text.empty() && !within_) next->text(content_);
    hand_on(held_, 0);
    next->end();
    match_.matched = 0;
    within_ = false;
    content_ = later_;
  }

 private:
  // Nothing is found before each character and at the end.
  void between(std::string_view part) {
    if (!std::exchange(within_, true)) held_ += content_;
    for (size_t at = 0, length; at < part.size(); at += length) {
      length = utf8_at(part, at).length;
      held_.append(part, at, length).append(content_);
    }
    hand_on(held_, 0);
  }

  PrefixMatch match_;
  std::string content_, later_, held_;
  bool within_ = false;
};

class ReplaceRegex final : public Stage {
 public:
  explicit ReplaceRegex(const DecoderStep& step) : step_(step) {}

  void text(std::string_view part) override {
    if (valid_prefix(part) != part.size()) {  // raw bytes, which expressions leave alone
      run(true);
      next->text(part);
      return forget();
    }
    text_ += part;
    any_ = true;
    run(false);
    if (from_ <= 2 * kMostBehind) return;
    size_t cut = std::min(done_, from_) - kMostBehind;
    while ((uint8_t(text_[cut]) & 0xc0) == 0x80) --cut;
    text_.erase(0, cut);
    from_ -= cut, done_ -= cut;
    last_end_ = last_end_ == kNone || last_end_ < cut ? kNone : last_end_ - cut;
  }
  void end() override {
    if (any_) run(true);  // nothing is found in an empty text
    forget();
    next->end();
  }

 private:
  static constexpr size_t kNone = std::string_view::npos;

  void forget() { text_.clear(), from_ = done_ = 0, last_end_ = kNone, any_ = false; }

  // for_each_match, as far as more text cannot change it.
  void run(bool final) {
    std::string buffer, out;
    const std::string_view subject = step_.regex->subject(text_, buffer);
    scratch_.budget = Budget(text_.size());
    const auto copy = [&](size_t to) {
      if (to > done_) out.append(text_, done_, to - done_), done_ = to;
    };
    size_t begin = 0, end = 0;
    while (from_ <= text_.size()) {
      Regex::Found found =
          final ? (step_.regex->find(subject, from_, scratch_, begin, end) ? Regex::Found::match : Regex::Found::none)
                : step_.regex->find_certain(subject, from_, scratch_, begin, end);
      if (found == Regex::Found::open && text_.size() - begin > kMostHeld)
        found = step_.regex->find(subject, from_, scratch_, begin, end) ? Regex::Found::match : Regex::Found::none;
      if (found == Regex::Found::match && begin == end && begin == last_end_) {  // empty, where the last match ended
        if (from_ == text_.size()) break;
        from_ += utf8_length(text_[from_]);
      } else if (found == Regex::Found::match) {
        copy(begin);
        out += step_.content;
        from_ = done_ = last_end_ = end;
      } else {
        from_ = found == Regex::Found::open ? begin : text_.size();
        copy(from_);
        break;
      }
    }
    if (final) copy(text_.size());
    if (!out.empty()) next->text(out);
  }

  const DecoderStep& step_;
  RegexScratch scratch_{0};
  std::string text_;            // what the expression may look back on, and what is not decided
  size_t from_ = 0, done_ = 0;  // where it is tried next; what was handed on
  size_t last_end_ = kNone;
  bool any_ = false;  // the text has begun
};

// Takes up to so many characters from either end of each text.
class Strip final : public Stage {
 public:
  explicit Strip(const DecoderStep& step) : step_(step) {}

  void text(std::string_view part) override {
    for (; taken_ < step_.start && part.starts_with(step_.pattern); ++taken_) part.remove_prefix(step_.pattern.size());
    if (part.empty()) return;
    taken_ = step_.start;
    size_t marks = 0;
    std::string_view rest = part;
    for (; rest.ends_with(step_.pattern); ++marks) rest.remove_suffix(step_.pattern.size());
    if (!rest.empty()) put(held_), held_ = 0;
    held_ += marks;
    if (!rest.empty()) next->text(rest);
    if (held_ > step_.stop) put(held_ - step_.stop), held_ = step_.stop;
  }
  void end() override {
    taken_ = held_ = 0;
    next->end();
  }

 private:
  void put(size_t marks) {
    for (; marks > 0; --marks) next->text(step_.pattern);
  }

  const DecoderStep& step_;
  size_t taken_ = 0, held_ = 0;  // held_: characters at the end that are taken away if nothing follows
};

// Texts but the first that do not begin with the prefix have a space put before them.
class WordPrefix final : public Stage {
 public:
  explicit WordPrefix(const DecoderStep& step) : prefix_(step.pattern) {}

  void text(std::string_view part) override {
    if (decided_) return next->text(part);
    held_ += part;
    if (held_.size() < prefix_.size() && prefix_.starts_with(held_)) return;
    decide();
  }
  void end() override {
    if (!decided_) decide();
    decided_ = false;
    next->end();
  }

 private:
  void decide() {
    if (held_.starts_with(prefix_))
      held_.erase(0, prefix_.size());
    else
      held_.insert(0, " ");
    hand_on(held_, 0);
    decided_ = true;
  }

  const std::string& prefix_;
  std::string held_;
  bool decided_ = true;
};

// The suffix of a word is a space, but that of the last text is nothing.
class WordSuffix final : public Stage {
 public:
  explicit WordSuffix(const DecoderStep& step) : match_(step.pattern), seen_(step.pattern.empty()) {}

  void text(std::string_view part) override {
    if (ended_) release(" ");
    for (const char c : part) {
      held_ += c;
      if (seen_ || !match_.push(c)) continue;
      seen_ = true;
      next->text(std::string_view(held_).substr(0, held_.size() - match_.text.size()));
      held_ = match_.text;
    }
    if (!seen_) hand_on(held_, match_.matched);
  }
  void end() override {
    if (ended_) release(" ");
    ended_ = true;
    if (!seen_) release("");
  }
  void finish() override {
    if (ended_) release("");
    next->finish();
  }

 private:
  void release(std::string_view content) {
    const std::string rest = replace_all(held_, match_.text, content);
    if (!rest.empty()) next->text(rest);
    next->end();
    held_.clear();
    match_.matched = 0;
    seen_ = match_.text.empty();
    ended_ = false;
  }

  PrefixMatch match_;
  std::string held_;  // from the first suffix on, or what may become one
  bool seen_, ended_ = false;
};

// Of equal neighbours only the first.
class Unique final : public Stage {
 public:
  void text(std::string_view part) override { text_ += part; }
  void end() override {
    if (any_ && text_ == last_) return text_.clear();
    if (!text_.empty()) next->text(text_);
    next->end();
    last_ = std::exchange(text_, {});
    any_ = true;
  }

 private:
  std::string text_, last_;
  bool any_ = false;
};

class DropEmpty final : public Stage {
 public:
  void text(std::string_view part) override {
    any_ |= !part.empty();
    next->text(part);
  }
  void end() override {
    if (std::exchange(any_, false)) next->end();
  }

 private:
  bool any_ = false;
};

// Letters to bytes, and all texts as one. One that holds other characters stays as it is.
class Letters final : public Stage {
 public:
  /// `joined`: there is one text, too long to wait for its end: what comes behind another character stays as it is.
  explicit Letters(bool joined) : joined_(joined) {}

  void text(std::string_view part) override {
    if (!joined_) {
      text_ += part;
    } else {
      other_ = other_ || !append_letters(bytes_, part);
      if (other_) bytes_ += part;
      put(false);
    }
  }
  void end() override {
    if (!append_letters(bytes_, text_)) bytes_ += text_;
    text_.clear();
    put(false);
  }
  void finish() override {
    put(true);
    next->end(), next->finish();
  }

 private:
  void put(bool final) {
    std::string out;
    bytes_.erase(0, append_lossy(out, bytes_, final));
    if (!out.empty()) next->text(out);
  }

  std::string text_, bytes_;
  bool joined_, other_ = false;
};

// Runs of byte tokens become one text.
class Bytes final : public Stage {
 public:
  void text(std::string_view part) override {
    if (!plain_ && text_.size() + part.size() <= kSize) {
      text_ += part;
    } else {
      plain();
      next->text(part);
    }
  }
  void end() override {
    if (const int byte = plain_ ? -1 : byte_token(text_); byte >= 0) {
      add(char(byte));
    } else {
      plain();
      next->end();
    }
    text_.clear();
    plain_ = false;
  }
  void finish() override {
    end_run();
    next->finish();
  }

 private:
  static constexpr size_t kSize = 6;  // of "<0x0A>"

  // The present text is no byte token.
  void plain() {
    if (std::exchange(plain_, true)) return;
    end_run();
    if (!text_.empty()) next->text(text_);
  }
  void add(char byte) {
    bytes_ += byte;
    if (wrong_) return spoil();
    const Utf8Char c = utf8_at(bytes_, 0);
    if (c.kind == Utf8Char::invalid) return spoil();
    if (c.kind == Utf8Char::cut) return;
    next->text(bytes_);
    bytes_.clear();
    open_ = true;
  }
  void spoil() {
    wrong_ = true;
    if (std::exchange(open_, false)) next->end();
    for (; !bytes_.empty(); bytes_.pop_back()) next->text(kReplacement), next->end();
  }
  void end_run() {
    if (!bytes_.empty()) spoil();
    if (std::exchange(open_, false)) next->end();
    wrong_ = false;
  }

  std::string text_, bytes_;                           // bytes_: of an unfinished character
  bool plain_ = false, open_ = false, wrong_ = false;  // open_: the run's text was begun
};

class Chain {
 public:
  std::vector<std::unique_ptr<Stage>> stages;

  void add(const DecoderStep& step) {
    switch (step.kind) {
      case Kind::byte_level:
        put<Letters>(joined_);
        joined_ = true;
        break;
      case Kind::byte_fallback:
        put<Bytes>();
        break;
      case Kind::fuse:
        put<Fuse>();
        joined_ = true;
        break;
      case Kind::replace:
        step.regex ? put<ReplaceRegex>(step) : put<ReplaceText>(step.pattern, step.content);
        break;
      case Kind::strip:
        put<Strip>(step);
        break;
      case Kind::metaspace:
        put<ReplaceText>(step.pattern, step.drops_first ? "" : " ", " ");
        break;
      case Kind::wordpiece:
        put<WordPrefix>(step);
        if (step.cleanup) clean_up();
        break;
      case Kind::bpe:
        joined_ ? put<ReplaceText>(step.pattern, "") : put<WordSuffix>(step);
        break;
      case Kind::ctc:
        if (!joined_) put<Unique>();
        put<ReplaceText>(step.pattern, "");
        if (step.cleanup) clean_up(), put<ReplaceText>(step.content, " ");
        put<DropEmpty>();
        break;
    }
  }
  template <class S, class... Args>
  void put(Args&&... args) {
    stages.push_back(std::make_unique<S>(std::forward<Args>(args)...));
    if (stages.size() > 1) stages[stages.size() - 2]->next = stages.back().get();
  }

 private:
  void clean_up() {
    for (const auto& [from, to] : kCleanups) put<ReplaceText>(std::string(from), std::string(to));
  }

  bool joined_ = false;  // there is but one text from here on
};

}  // namespace

DecoderStream::DecoderStream(const Decoder& decoder) {
  Chain chain;
  if (decoder.absent()) chain.put<Spaces>();
  for (const DecoderStep& step : decoder.steps()) chain.add(step);
  chain.put<Sink>(text_);
  stages_ = std::move(chain.stages);
}
DecoderStream::~DecoderStream() = default;

void DecoderStream::push(std::string_view token, std::string& out) {
  if (!token.empty()) stages_[0]->text(token);
  stages_[0]->end();
  out += std::exchange(text_, {});
}

void DecoderStream::finish(std::string& out) {
  stages_[0]->finish();
  out += std::exchange(text_, {});
}

}  // namespace gale
