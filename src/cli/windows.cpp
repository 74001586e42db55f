#include "cli/windows.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/fail.h"
#include "cli/console.h"
#include "tokenizer/tokenizer.h"

namespace gale::cli {

void add_window_flags(CLI::App& app, WindowFlags& flags) {
  app.add_option("-f,--file", flags.file, "The text; - is stdin")->required();
  app.add_option("--window", flags.window, "Tokens read together")->check(CLI::Range(3, 1 << 24))->capture_default_str();
  app.add_flag("--parse-special", flags.parse_special, "Special tokens in the text, such as those of a chat, are special tokens");
}

std::vector<std::vector<int32_t>> windows_of(const WindowFlags& flags, const Engine& engine) {
  const Tokenizer* tokenizer = engine.tokenizer();
  require(tokenizer != nullptr, ErrorCode::invalid_argument, "{} has no tokenizer, so no text can be read", engine.info().source);
  const auto tokens = tokenizer->encode(read_input(flags.file), {.parse_special = flags.parse_special});
  require(tokens.size() >= 3, ErrorCode::invalid_argument, "{} has {} tokens: 3 are needed at least", flags.file, tokens.size());
  const size_t size = std::min(size_t(flags.window), tokens.size());
  const auto before = tokenizer->encode("");
  std::vector<std::vector<int32_t>> out;
  for (size_t at = 0; at + size <= tokens.size(); at += size) {
    out.emplace_back(tokens.begin() + ptrdiff_t(at), tokens.begin() + ptrdiff_t(at + size));
    if (!before.empty()) out.back().front() = before.front();
  }
  return out;
}

}  // namespace gale::cli
