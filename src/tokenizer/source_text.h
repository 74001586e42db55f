#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/utf8.h"

namespace gale {

/// Bytes [begin, end) of the text as it was given.
struct Origin {
  uint32_t begin = 0, end = 0;
};

/// Text on its way to the model. Where offsets are wanted, each byte knows which character of the input it stands for.
struct SourceText {
  std::string bytes;
  std::vector<Origin> origins;  ///< by byte; empty unless tracked
  uint32_t start = 0;           ///< where it begins in the input, for what is put in before all of it
  bool tracked = false;

  SourceText() = default;
  explicit SourceText(std::string_view text) : bytes(text) {}
  /// The whole of `input` with wrong bytes as U+FFFD; `track`: with its origins.
  static SourceText read(std::string_view input, bool track);

  /// Takes [begin, end) of another one.
  void assign(const SourceText& from, size_t begin, size_t end);
  /// Where [begin, end) comes from.
  Origin origin(size_t begin, size_t end) const;
};

/// Rewrites a SourceText from its start to its end. What is put in has the origin of what it replaces, or of what stands before
/// it.
class Rewriter {
 public:
  explicit Rewriter(SourceText& text) : text_(text) { out_.reserve(text.bytes.size() + text.bytes.size() / 4 + 16); }

  /// The next bytes stay.
  void copy(size_t bytes) {
    out_.append(text_.bytes, at_, bytes);
    if (text_.tracked)
      origins_.insert(origins_.end(), text_.origins.begin() + long(at_), text_.origins.begin() + long(at_ + bytes));
    at_ += bytes;
  }
  /// The next bytes go.
  void skip(size_t bytes) { at_ += bytes; }
  /// One character, which takes the place of the next 1 - change characters; change 1: it is put in.
  void put(std::string_view character, int change);
  void put(char32_t code, int change);
  /// Characters that are put in, as part of what stands before them, or, before a first character, as part of that one.
  void insert(std::string_view text);
  void insert_before(std::string_view text);
  /// The last character put in has the origin of the next one from here on.
  void take_next();

  size_t at() const { return at_; }
  size_t size() const { return out_.size(); }
  /// Gives the text its new form.
  void finish();

 private:
  SourceText& text_;
  std::string out_;
  std::vector<Origin> origins_;
  size_t at_ = 0;
};

}  // namespace gale
