#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"
#include "tokenizer/source_text.h"

namespace gale {

/// GPT-2's pattern, which ByteLevel applies by itself unless told not to.
inline constexpr std::string_view kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// One step on the way from a text to words.
struct PreStep {
  enum class Kind { split, characters, words, scripts, fixed_length, prefix_space, byte_letters, metaspace };
  enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };
  enum class Prepend { always, first, never };
  enum class Class { digit, punctuation, space };

  Kind kind;
  std::string pattern = {};                      ///< split: regular expression; metaspace: the mark, usually U+2581
  Behavior behavior = Behavior::isolated;        ///< split, characters: what becomes of the matches
  bool invert = false;                           ///< split: the gaps are the matches
  Prepend prepend = Prepend::always;             ///< metaspace: where a mark is put in front
  bool split_marks = false;                      ///< metaspace: each mark begins a word
  Class members = Class::digit;                  ///< characters: each of these is a match
  size_t length = 0;                             ///< fixed_length: characters of a word
  std::shared_ptr<const Regex> regex = nullptr;  ///< compiled `pattern` of a split

  bool operator==(const PreStep& o) const {
    return kind == o.kind && pattern == o.pattern && behavior == o.behavior && invert == o.invert && prepend == o.prepend &&
           split_marks == o.split_marks && members == o.members && length == o.length;
  }
};

/// A split step with its pattern compiled; actual CR and LF in the pattern are written as escapes, so that equal patterns are
/// equal texts.
PreStep split_step(std::string_view pattern, std::string_view where, PreStep::Behavior behavior = PreStep::Behavior::isolated,
                   bool invert = false);

/// A word: bytes [begin, end) of the text.
struct Span {
  uint32_t begin, end;
};

/// The chain of splits. Immutable.
class PreTokenizer {
 public:
  /// `bytes`: the model works on bytes and wants no letters for them, so that a last byte_letters step is not run.
  explicit PreTokenizer(std::vector<PreStep> steps = {}, bool bytes = true);

  /// Cuts `text` into words, rewriting it where steps do so. `start`: so many bytes of it stand for the whole text's first
  /// character (0 unless it is the start of the whole text); tracked texts know by themselves.
  void run(SourceText& text, size_t start, RegexScratch& scratch, std::vector<Span>& words) const;

  const std::vector<PreStep>& steps() const { return steps_; }
  /// What becomes of a text depends on whether it is the start of a whole one.
  bool asks_for_start() const;
  /// The same, and `start` cannot say it, since the text is rewritten before.
  bool asks_for_origins() const;
  /// The words are bytes, or letters for bytes.
  bool byte_level() const { return byte_level_; }
  /// The words are bytes.
  bool bytes() const { return byte_level_ && bytes_; }

 private:
  std::vector<PreStep> steps_;
  bool byte_level_ = false, bytes_;
};

}  // namespace gale
