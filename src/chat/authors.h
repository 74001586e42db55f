#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gale {

/// Who wrote a piece of a prompt, the most trusted first. Only what the template's own source writes may name any control token.
enum class Author : uint8_t {
  source,  ///< the template's source, or Gale
  model,   ///< an assistant's turn, which may hold what its template reads and writes, such as "<think>"
  person   ///< whoever wrote the messages, tools and further variables
};

/// Who wrote each byte of a text, kept beside the text and not in it: nothing that a template does with a text sees it.
class Authors {
 public:
  /// The bytes from the end of the run before up to `end`.
  struct Run {
    uint32_t end;
    Author who;
    bool operator==(const Run&) const = default;
  };

  Authors(Author who = Author::source) : one_(who) {}

  /// One author wrote all of the text.
  bool uniform() const { return runs_.empty(); }
  bool operator==(const Authors&) const = default;

  Author at(size_t byte) const { return uniform() ? one_ : find(byte)->who; }
  /// The least trusted of those who wrote [begin, end), or all of it.
  Author least(size_t begin, size_t end) const;
  Author least() const;
  /// Calls work(begin, end, who) for what each one wrote of [begin, end), in order.
  template <class Work>
  void each(size_t begin, size_t end, Work work) const {
    if (begin >= end) return;
    if (uniform()) return work(begin, end, one_);
    for (auto run = find(begin); begin < end; ++run) {
      const size_t to = std::min<size_t>(run->end, end);
      work(begin, to, run->who);
      begin = to;
    }
  }
  Authors part(size_t begin, size_t end) const;

  /// `bytes` more of one author come behind a text of `size`.
  void append(size_t size, size_t bytes, Author who) {
    if (bytes == 0) return;
    if (size == 0) return start(who);
    if (uniform() && who == one_) return;
    if (!uniform() && runs_.back().who == who)
      runs_.back().end = uint32_t(size + bytes);
    else
      change(size, size + bytes, who);
  }
  /// So does [begin, end) of another text.
  void append(size_t size, const Authors& from, size_t begin, size_t end) {
    if (from.uniform())
      append(size, end - begin, from.one_);
    else if (begin < end)
      append_runs(size, from, begin, end);
  }
  /// What all this takes in memory.
  size_t bytes() const { return runs_.size() * sizeof(Run); }

  class Moving;

 private:
  void start(Author who) {
    runs_.clear();
    one_ = who;
  }
  void change(size_t from, size_t end, Author who);
  void append_runs(size_t size, const Authors& from, size_t begin, size_t end);
  std::vector<Run>::const_iterator find(size_t byte) const {
    return std::upper_bound(runs_.begin(), runs_.end(), byte, [](size_t at, const Run& run) { return at < run.end; });
  }
  std::vector<Run> runs_;  ///< ascending, of more than one author; the last one ends with the text
  Author one_;
};

/// Follows a text that is rewritten character by character from its start to its end.
class Authors::Moving {
 public:
  /// Of nobody where null.
  explicit Moving(Authors* of) : of_(of) {}
  /// `read` bytes of the old text have become `written` bytes of the new one.
  void pass(size_t read, size_t written) {
    if (of_ == nullptr) return;
    for (; next_ < of_->runs_.size() && of_->runs_[next_].end <= read; ++next_) of_->runs_[next_].end = uint32_t(written);
  }

 private:
  Authors* of_;
  size_t next_ = 0;
};

/// A rendered prompt.
struct PromptText {
  std::string text;
  Authors authors;
};

}  // namespace gale
