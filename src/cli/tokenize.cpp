#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <vector>

#include "base/fail.h"
#include "base/json.h"
#include "base/parse_json.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/options.h"
#include "cli/text.h"
#include "engine/tokenizer_files.h"

namespace gale::cli {
namespace {

struct Flags {
  std::string model, text, file, lines;
  bool ids = false, no_special = false, plain = false, json = false, time = false, truncate = false, pad = false, decode = false;
  size_t length = 0;

  EncodeOptions encoding() const { return {.add_special = !no_special, .parse_special = !plain}; }
};

constexpr size_t kFlush = 1 << 20;

// Control characters and quotes as JSON writes them, so that a line stays a line.
std::string quoted(std::string_view piece) { return Json(piece).dump(-1, ' ', false, Json::error_handler_t::replace); }

// A text of a --jsonl file: a string, or a list of bytes for what is no UTF-8.
std::string line_text(const Json& line, const std::string& file, size_t number) {
  if (line.is_string()) return line.get<std::string>();
  const auto is_byte = [](const Json& n) { return n.is_number_integer() && n.get<int64_t>() >= 0 && n.get<int64_t>() < 256; };
  require(line.is_array() && std::all_of(line.begin(), line.end(), is_byte), ErrorCode::invalid_argument,
          "{}: line {} is {}; each line is a JSON string, or a list of bytes from 0 to 255", file, number,
          line.dump().substr(0, 80));
  std::string out;
  for (const Json& byte : line) out += char(byte.get<int64_t>());
  return out;
}

std::unique_ptr<Tokenizer> open_any(const std::string& model) {
  const std::string path = find_model(model, "", ModelFiles::text).path;
  std::unique_ptr<Tokenizer> out = open_tokenizer_files(path);  // a tokenizer needs no weights beside it
  if (!out) out = open_text(path).tokenizer;
  need_tokenizer(out.get(), model);
  return out;
}

template <class Visit>
void for_each_line(const std::string& file, Visit visit) {
  const std::string input = read_input(file);
  size_t number = 0;
  for (size_t begin = 0, end; begin < input.size(); begin = end + 1) {
    end = std::min(input.find('\n', begin), input.size());
    ++number;
    visit(parse_json_text(std::string_view(input).substr(begin, end - begin), fmt::format("{}, line {}", file, number)), number);
  }
}

// What the tokenizer.json asks for, where --truncate and --pad ask for it too; --length goes before.
std::optional<Truncation> truncation(const Flags& flags, const Tokenizer& tokenizer) {
  if (!flags.truncate) return std::nullopt;
  require(tokenizer.truncation() || flags.length > 0, ErrorCode::invalid_argument,
          "--truncate: this tokenizer asks for no truncation; say where to cut: --length N");
  Truncation out = tokenizer.truncation().value_or(Truncation{});
  if (flags.length > 0) out.max_length = flags.length;
  return out;
}

std::optional<Padding> padding(const Flags& flags, const Tokenizer& tokenizer) {
  if (!flags.pad) return std::nullopt;
  require(tokenizer.padding().has_value(), ErrorCode::invalid_argument,
          "--pad: this tokenizer asks for no padding, so it is not known with which token; only a tokenizer.json can ask for it");
  Padding out = *tokenizer.padding();
  if (flags.length > 0) out.length = flags.length;
  return out;
}

Json line_of(const Encoding& e, const Flags& flags, const Tokenizer& tokenizer) {
  Json offsets = Json::array(), windows = Json::array();
  for (const auto& [first, last] : e.offsets) offsets.push_back({first, last});
  Json out{{"ids", e.ids}, {"offsets", offsets}, {"text", tokenizer.decode(e.ids)}};
  for (const Encoding& window : e.overflowing) windows.push_back(window.ids);
  if (flags.truncate) out["overflowing"] = windows;
  if (flags.pad) out["attention_mask"] = e.attention_mask;
  return out;
}

// One JSON object a line: ids, bytes [begin, end) of each in the text, and the text they decode to.
int tokenize_lines(const Flags& flags, const Tokenizer& tokenizer) {
  const std::optional<Truncation> limit = truncation(flags, tokenizer);
  const std::optional<Padding> fill = padding(flags, tokenizer);
  std::vector<Encoding> batch;
  std::string out;
  const auto put = [&](const Encoding& e) {
    out += line_of(e, flags, tokenizer).dump() + "\n";
    if (out.size() > kFlush) print(out), out.clear();
  };
  for_each_line(flags.lines, [&](const Json& line, size_t number) {
    Encoding e =
        tokenizer.encode_aligned(line_text(line, flags.lines, number), std::nullopt, flags.encoding(), limit ? &*limit : nullptr);
    fill ? batch.push_back(std::move(e)) : put(e);
  });
  if (fill) pad(batch, *fill);  // to the longest of all lines, where no length is given
  for (const Encoding& e : batch) put(e);
  print(out);
  return 0;
}

// Ids as JSON or as numbers with spaces between, as --ids prints them.
std::vector<TokenId> read_ids(const Json& json, const Tokenizer& tokenizer, std::string_view where) {
  require(json.is_array(), ErrorCode::invalid_argument, "{}: {} is no list of token ids", where, json.dump().substr(0, 80));
  std::vector<TokenId> out;
  for (const Json& id : json) {
    require(id.is_number_integer() && id.get<int64_t>() >= 0 && id.get<int64_t>() < tokenizer.vocab_size(),
            ErrorCode::invalid_argument, "{}: {} is no token id; they go from 0 to {}", where, id.dump().substr(0, 80),
            tokenizer.vocab_size() - 1);
    out.push_back(id.get<TokenId>());
  }
  return out;
}

int decode(const Flags& flags, const Tokenizer& tokenizer, const std::string& text) {
  if (!flags.lines.empty()) {
    for_each_line(flags.lines, [&](const Json& line, size_t number) {
      const auto ids = read_ids(line, tokenizer, fmt::format("{}, line {}", flags.lines, number));
      print(Json{{"text", tokenizer.decode(ids)}, {"with_special", tokenizer.decode(ids, true)}}.dump() + "\n");
    });
    return 0;
  }
  std::string list;
  for (size_t begin = 0; (begin = text.find_first_not_of(" \t\r\n,[]", begin)) != std::string::npos;) {
    const size_t end = std::min(text.find_first_of(" \t\r\n,[]", begin), text.size());
    list += (list.empty() ? "" : ",") + text.substr(begin, end - begin);
    begin = end;
  }
  const std::string out =
      tokenizer.decode(read_ids(parse_json_text("[" + list + "]", "the ids"), tokenizer, "the ids"), !flags.no_special);
  if (flags.json)
    print_json({{"text", out}});
  else
    print(out + "\n");
  return 0;
}

// Seconds to open the tokenizer and to encode the text, the best of a few tries each.
int time_tokenizer(const Flags& flags, const std::string& text) {
  using Clock = std::chrono::steady_clock;
  const auto best = [](int tries, auto f) {
    double least = 1e9;
    for (int i = 0; i < tries; ++i) {
      const auto start = Clock::now();
      f();
      least = std::min(least, std::chrono::duration<double>(Clock::now() - start).count());
    }
    return least;
  };
  std::unique_ptr<Tokenizer> tokenizer;
  size_t tokens = 0;
  const double load = best(5, [&] { tokenizer = open_any(flags.model); });
  const double encode = best(3, [&] { tokens = tokenizer->encode(text, {.add_special = !flags.no_special}).size(); });
  print_json({{"load_seconds", load}, {"encode_seconds", encode}, {"bytes", text.size()}, {"count", tokens}});
  return 0;
}

std::vector<TokenId> encode(const Flags& flags, const Tokenizer& tokenizer, const std::string& text) {
  if (!flags.truncate && !flags.pad) return tokenizer.encode(text, flags.encoding());
  const std::optional<Truncation> limit = truncation(flags, tokenizer);
  std::vector<Encoding> batch{tokenizer.encode_aligned(text, std::nullopt, flags.encoding(), limit ? &*limit : nullptr)};
  if (const std::optional<Padding> fill = padding(flags, tokenizer)) pad(batch, *fill);
  return batch[0].ids;
}

int tokenize(const Flags& flags, int texts) {
  if (texts != 1) throw UsageError("gale tokenize takes one of TEXT (- reads stdin), --file F and --jsonl F");
  const std::unique_ptr<Tokenizer> opened = open_any(flags.model);
  const Tokenizer& tokenizer = *opened;
  if (!flags.lines.empty() && !flags.decode) return tokenize_lines(flags, tokenizer);
  const std::string text = !flags.lines.empty()  ? ""
                           : !flags.file.empty() ? read_input(flags.file)
                           : flags.text == "-"   ? read_stdin()
                                                 : flags.text;
  if (flags.decode) return decode(flags, tokenizer, text);
  if (flags.time) return time_tokenizer(flags, text);
  const auto tokens = encode(flags, tokenizer, text);
  if (flags.json) {
    Json pieces = Json::array();
    for (const TokenId id : tokens) pieces.push_back(tokenizer.piece(id));
    print_json({{"tokens", tokens}, {"pieces", pieces}, {"count", tokens.size()}});
    return 0;
  }
  std::string out;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (flags.ids)
      out.append(i == 0 ? "" : " ").append(fmt::format_int(tokens[i]).c_str());
    else
      fmt::format_to(std::back_inserter(out), "{:>8}  {}\n", tokens[i], quoted(tokenizer.piece(tokens[i])));
    if (out.size() > kFlush) print(out), out.clear();  // the ids of a big file take more room than the file
  }
  print(flags.ids ? out + "\n" : out);
  return 0;
}

}  // namespace

void add_tokenize(CommandLine& line) {
  CLI::App* sub = line.app.add_subcommand(
      "tokenize", "Text to token ids, whole unless --truncate or --pad asks for what the tokenizer.json says; or ids to text");
  const auto flags = std::make_shared<Flags>();
  sub->add_option("-m,--model", flags->model, "A folder, a .gguf file, a tokenizer's own file, a repository org/name, or demo")
      ->required();
  CLI::Option* text = sub->add_option("TEXT", flags->text, "The text; - reads stdin");
  CLI::Option* file = sub->add_option("--file", flags->file, "Read the text from a file; - is stdin");
  CLI::Option* lines =
      sub->add_option("--jsonl", flags->lines,
                      "Read one text a line, each a JSON string or a list of bytes; prints ids, offsets and decoded text");
  sub->add_flag("--ids", flags->ids, "Only the ids, on one line");
  sub->add_flag("--no-special", flags->no_special, "Without the tokens that the tokenizer adds by itself");
  sub->add_flag("--plain", flags->plain, "Text that looks like a special token stays text");
  CLI::Option* cut = sub->add_flag("--truncate", flags->truncate, "Cut as the tokenizer.json's truncation says");
  CLI::Option* fill = sub->add_flag(
      "--pad", flags->pad, "Fill up as its padding says; the texts of --jsonl are one batch, as long as the longest of them");
  sub->add_option("--length", flags->length, "With --truncate and --pad: to so many tokens, whatever the file says")
      ->check(CLI::PositiveNumber);
  sub->add_flag("--decode", flags->decode,
                "Ids to text: TEXT or the file has ids with spaces between, a line of --jsonl a list of them; with --no-special "
                "without special tokens")
      ->excludes(cut)
      ->excludes(fill);
  sub->add_flag("--time", flags->time, "Only measure: seconds to open the tokenizer and to encode the text");
  sub->add_flag("--json", flags->json, "Print one JSON object");
  sub->callback([=, &line] {
    const int texts = int(text->count() > 0) + int(file->count() > 0) + int(lines->count() > 0);
    line.action = [flags, texts] { return tokenize(*flags, texts); };
  });
}

}  // namespace gale::cli
