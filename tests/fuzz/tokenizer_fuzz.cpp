// Three targets in one: bytes that look like JSON are read as a tokenizer.json; after 's', 'm' and 't' come sentencepiece, tekken
// and tiktoken files; and all are text for two fixed tokenizers.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "gale/error.h"
#include "tokenizer/rank_vocab.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/text_stream.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace {

using namespace gale;

// A failed property must stop the fuzzer, in release builds too.
void check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "property failed: %s\n", what);
  __builtin_trap();
}

std::string letters() {  // the byte-level letters of all bytes, one entry each
  std::string out;
  int next = 256;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad);
    std::string letter;
    append_utf8(letter, uint32_t(printable ? b : next++));
    if (letter == "\"" || letter == "\\") letter.insert(0, "\\");
    out += (b == 0 ? "\"" : ",\"") + letter + "\":" + std::to_string(b);
  }
  return out;
}

std::string byte_tokens() {
  std::string out;
  for (int b = 0; b < 256; ++b) {
    char text[16];
    std::snprintf(text, sizeof text, "\"<0x%02X>\":%d,", unsigned(b), b);
    out += text;
  }
  return out;
}

std::unique_ptr<Tokenizer> byte_level() {
  return Tokenizer::from_json(R"({"model":{"type":"BPE","vocab":{)" + letters() +
                              R"(,"aa":256,"aaa":257,"\u0120a":258,"ab":259},"merges":["a a","aa a","\u0120 a","a b"]},)"
                              R"("added_tokens":[{"id":260,"content":"<|x|>","special":true}],)"
                              R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"}})");
}

std::unique_ptr<Tokenizer> sentencepiece() {
  return Tokenizer::from_json(
      R"({"model":{"type":"BPE","byte_fallback":true,"fuse_unk":true,"vocab":{)" + byte_tokens() +
      R"("\u2581":256,"a":257,"\u2581a":258,"aa":259},"merges":["a a","\u2581 a"]},)"
      R"("normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"\u2581"},)"
      R"({"type":"Replace","pattern":{"String":" "},"content":"\u2581"}]},)"
      R"("decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"\u2581"},"content":" "},{"type":"ByteFallback"},)"
      R"({"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}})");
}

std::string stream_all(const Tokenizer& t, const std::vector<TokenId>& ids, std::vector<std::string> stops) {
  TextStream stream(t, std::move(stops), true);
  std::string out;
  for (const TokenId id : ids) {
    const std::string part = stream.push(id);
    check(valid_prefix(part) == part.size(), "each piece is valid UTF-8");
    out += part;
  }
  return out + stream.flush();
}

void read_json(std::string_view text) {
  std::unique_ptr<Tokenizer> t;
  try {
    t = Tokenizer::from_json(text);
  } catch (const Error&) {
    return;
  }
  for (const std::string_view sample : {"Hello  world\r\n 123 <s>", "\xff\xf0\x9f\x98\x80 a\xcc\x81", "aaaaaaaaaaaaaaaa"}) {
    try {
      const std::vector<TokenId> ids = t->encode(sample);
      for (const TokenId id : ids) check(id >= 0 && id < t->vocab_size(), "ids are in range");
      const std::string streamed = stream_all(*t, ids, {}), decoded = t->decode(ids, true);
      check(valid_prefix(streamed) == streamed.size() && valid_prefix(decoded) == decoded.size(), "text is valid UTF-8");
      const Encoding aligned = t->encode_aligned(sample, sample);
      check(aligned.offsets.size() == aligned.ids.size(), "each token has an offset");
      for (const auto& [begin, end] : aligned.offsets) check(begin <= end && end <= sample.size(), "offsets lie in the text");
    } catch (const Error&) {
    }
  }
  try {
    const auto again = Tokenizer::from_vocab(t->vocab());
    check(again->vocab_size() == t->vocab_size(), "vocab keeps its size");
  } catch (const Error&) {
  }
}

// The other files that vocabularies come in.
void read_file(std::string_view bytes) {
  const std::string_view rest = bytes.substr(1);
  try {
    std::unique_ptr<Tokenizer> t;
    if (bytes[0] == 's') t = Tokenizer::from_vocab(read_sentencepiece(rest));
    if (bytes[0] == 'm') t = make_tokenizer(read_tekken(rest));
    if (bytes[0] == 't') t = make_tokenizer(read_tiktoken(rest));
    if (t == nullptr) return;
    for (const TokenId id : t->encode("Hello  \xff\xf0\x9f\x98\x80 world"))
      check(id >= 0 && id < t->vocab_size(), "ids are in range");
  } catch (const Error&) {
  }
}

void read_text(const Tokenizer& t, std::string_view text, bool round_trips) {
  const std::vector<TokenId> ids = t.encode(text, {.add_special = false});
  const std::string decoded = t.decode(ids, true);
  std::string expected;
  append_lossy(expected, text, true);
  if (round_trips) check(decoded == expected, "decode(encode(text)) is the text");
  check(stream_all(t, ids, {}) == decoded, "stream equals decode");
  const std::string stopped = stream_all(t, ids, {"aab", "\n\n", "a a"});
  check(decoded.starts_with(stopped), "a stopped stream is the start of the text");
  for (const char* stop : {"aab", "\n\n", "a a"}) check(stopped.find(stop) == std::string::npos, "no stop string comes out");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with('{')) read_json(text);
  if (!text.empty()) read_file(text);
  static const auto bytes = byte_level(), pieces = sentencepiece();
  read_text(*bytes, text, true);
  // U+2581 itself becomes a space there, and added text in front of it is dropped with the leading space.
  read_text(*pieces, text, text.find("\xe2\x96\x81") == std::string_view::npos && !text.empty() && valid_prefix(text) > 0);
  return 0;
}
