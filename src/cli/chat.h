#pragma once
#include <string>
#include <vector>

#include "cli/generate.h"
#include "cli/options.h"
#include "tokenizer/tokenizer.h"

namespace gale::cli {

/// Turns what the user types into prompts, and keeps what was said.
class Chat {
 public:
  /// `raw`: prompts go to the model as they are. So do they where the model has no chat template.
  Chat(const Engine& engine, bool raw, std::string system);

  /// The prompt's tokens with `text` as the user's next turn, which is kept.
  std::vector<TokenId> ask(const std::string& text);
  /// Keeps an answer.
  void answered(const std::string& text);
  /// Takes the user's last turn back: its answer failed.
  void take_back();
  void clear();
  void set_system(std::string text);
  bool templated() const { return templated_; }

 private:
  struct Turn {
    std::string role, text;
  };
  std::vector<TokenId> render() const;

  const Engine& engine_;
  const Tokenizer& tokenizer_;
  bool raw_;  // --raw: special tokens in the text are special tokens
  bool templated_;
  std::string system_;
  std::vector<Turn> turns_;
};

/// The conversation on a terminal, until /exit or the end of input. Returns the exit code.
int run_repl(Engine& engine, Chat chat, const SamplingFlags& sampling, bool verbose);

}  // namespace gale::cli
