#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "gale/engine.h"

namespace CLI {
class App;
}

namespace gale::cli {

/// A text that a model is run over, window by window.
struct WindowFlags {
  std::string file;
  int64_t window = 512;
  bool parse_special = false;
};
/// -f, --window, --parse-special.
void add_window_flags(CLI::App& app, WindowFlags& flags);

/// The text in windows of as many tokens, each beginning with what the tokenizer puts before a text. Throws Error where the model
/// has no tokenizer or the text fewer than 3 tokens.
std::vector<std::vector<int32_t>> windows_of(const WindowFlags& flags, const Engine& engine);

}  // namespace gale::cli
