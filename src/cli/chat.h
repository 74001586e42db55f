#pragma once
#include <string>
#include <vector>

#include "cli/generate.h"
#include "cli/options.h"
#include "gale/engine.h"
#include "tokenizer/tokenizer.h"

namespace gale::cli {

/// Turns what the user types into prompts, and keeps what was said.
class Chat {
 public:
  /// `raw`: prompts go to the model as they are. So do they where the model has no chat template.
  Chat(const Engine& engine, bool raw, std::string system);

  /// The prompt's tokens with `text` as the user's next turn, which is kept.
  std::vector<TokenId> ask(const std::string& text);
  /// Keeps an answer. `tokens`: the prompt and what came of it.
  void answered(const std::string& text, std::vector<TokenId> tokens);
  /// Takes the user's last turn back: its answer failed.
  void take_back();
  void clear();
  void set_system(std::string text);
  /// What is said from now on is one text, also where prompts go to the model as they are.
  void begin_session() { session_ = true; }
  /// The same, after what was said then. Throws Error{invalid_argument} where it was another kind of text, or another system
  /// prompt is asked for, Error{corrupt} where its note is not of this class.
  void resume(const Session& session, const std::string& file);
  Session session() const;
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
  bool session_ = false;
  std::string system_;
  std::vector<Turn> turns_;
  std::vector<TokenId> tokens_;  // up to the end of the last answer
};

/// The conversation on a terminal, until /exit or the end of input. Returns the exit code.
int run_repl(Engine& engine, Chat& chat, const SamplingFlags& sampling, bool verbose);

}  // namespace gale::cli
