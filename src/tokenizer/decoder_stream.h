#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/decoder.h"

namespace gale {

/// Decodes the tokens of one text as they come. What is given out, one after the other, is the text of all tokens, and each byte
/// is given out as soon as no later token can change it, with two exceptions: of a run of byte tokens the characters that are
/// complete are given out, though the run may turn out to be no UTF-8 (which makes U+FFFD of all its bytes, as now of those that
/// follow); and a regular expression sees at most some kilobytes. Memory and work of a token depend on its own text alone.
/// Not thread-safe.
class DecoderStream {
 public:
  /// REQUIRES: the decoder outlives the stream.
  explicit DecoderStream(const Decoder& decoder);
  ~DecoderStream();
  DecoderStream(const DecoderStream&) = delete;
  DecoderStream& operator=(const DecoderStream&) = delete;

  /// Appends what became certain with one more token. Only whole characters, where the tokens are UTF-8.
  void push(std::string_view token, std::string& out);
  /// Appends what was held back. Nothing may follow.
  void finish(std::string& out);

  /// A step on the way: it is told texts and where each ends.
  class Stage;

 private:
  std::vector<std::unique_ptr<Stage>> stages_;
  std::string text_;
};

}  // namespace gale
