#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/options.h"
#include "cli/text.h"

namespace gale::cli {
namespace {

struct Flags {
  std::string model, text, file;
  bool ids = false, no_special = false, json = false;
};

// Control characters and quotes as JSON writes them, so that a line stays a line.
std::string quoted(std::string_view piece) { return Json(piece).dump(-1, ' ', false, Json::error_handler_t::replace); }

int tokenize(const Flags& flags, bool text_given) {
  if (text_given == !flags.file.empty()) throw UsageError("gale tokenize takes either TEXT (- reads stdin) or --file F");
  const TextModel model = open_text(flags.model);
  const Tokenizer& tokenizer = need_tokenizer(model.tokenizer.get(), flags.model);
  const std::string text = !flags.file.empty() ? read_input(flags.file) : flags.text == "-" ? read_stdin() : flags.text;
  const auto tokens = tokenizer.encode(text, {.add_special = !flags.no_special, .parse_special = true});
  if (flags.json) {
    Json pieces = Json::array();
    for (const TokenId id : tokens) pieces.push_back(tokenizer.piece(id));
    print_json({{"tokens", tokens}, {"pieces", pieces}, {"count", tokens.size()}});
    return 0;
  }
  std::string out;
  for (const TokenId id : tokens)
    out +=
        flags.ids ? fmt::format("{}{}", out.empty() ? "" : " ", id) : fmt::format("{:>8}  {}\n", id, quoted(tokenizer.piece(id)));
  print(flags.ids ? out + "\n" : out);
  return 0;
}

}  // namespace

void add_tokenize(CommandLine& line) {
  CLI::App* sub = line.app.add_subcommand("tokenize", "Text to token ids");
  const auto flags = std::make_shared<Flags>();
  sub->add_option("-m,--model", flags->model, "A folder, a .gguf file, or demo")->required();
  CLI::Option* text = sub->add_option("TEXT", flags->text, "The text; - reads stdin");
  sub->add_option("--file", flags->file, "Read the text from a file; - is stdin");
  sub->add_flag("--ids", flags->ids, "Only the ids, on one line");
  sub->add_flag("--no-special", flags->no_special, "Without the tokens that the tokenizer adds by itself");
  sub->add_flag("--json", flags->json, "Print one JSON object");
  sub->callback([&line, flags, text] { line.action = [flags, given = text->count() > 0] { return tokenize(*flags, given); }; });
}

}  // namespace gale::cli
