#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "base/fail.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "hub/fetch.h"
#include "hub/settings.h"

namespace gale::cli {
namespace {

struct Flags {
  std::string token;
  bool logout = false;
};

/// What is typed while this lives does not show.
class HiddenInput {
 public:
  HiddenInput() {
    known_ = tcgetattr(STDIN_FILENO, &before_) == 0;
    termios hidden = before_;
    hidden.c_lflag &= ~tcflag_t(ECHO);
    if (known_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  }
  ~HiddenInput() {
    if (known_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  HiddenInput(const HiddenInput&) = delete;
  HiddenInput& operator=(const HiddenInput&) = delete;

 private:
  termios before_{};
  bool known_ = false;
};

std::string typed_token(const hub::Settings& settings) {
  if (!stdin_is_terminal()) return read_stdin();
  std::string text;
  {
    const InterruptScope interrupt;  // ^C must not leave a terminal without echo
    const HiddenInput hidden;        // before the question: what comes right after it must not show either, nor be lost
    print(fmt::format("Token (of {}/settings/tokens; it does not show while you paste it): ", settings.shown_endpoint()), true);
    std::getline(std::cin, text);
  }
  print("\n", true);
  return text;
}

int logout(const hub::Settings& settings) {
  std::error_code error;
  require(!std::filesystem::is_directory(std::filesystem::symlink_status(settings.token_path, error)),
          ErrorCode::invalid_argument, "{} is a folder, not the file of a token; check HF_TOKEN_PATH",
          settings.token_path.string());
  const bool removed = std::filesystem::remove(settings.token_path, error);
  require(!error, ErrorCode::not_found, "cannot remove {}: {}", settings.token_path.string(), error.message());
  print(removed ? fmt::format("removed {}\n", settings.token_path.string()) : "there was no token\n");
  return 0;
}

int login(const Flags& flags) {
  hub::Settings settings = hub::Settings::from_environment();
  if (flags.logout) return logout(settings);
  require(!settings.offline, ErrorCode::invalid_argument,
          "HF_HUB_OFFLINE is set: the hub cannot be asked whether the token is valid");
  const bool overruled =
      settings.token_source != settings.token_path.string() && !(settings.token.empty() && settings.token_problem.empty());
  settings.token = hub::clean_token(flags.token.empty() ? typed_token(settings) : flags.token, "gale login");
  settings.token_source = "gale login";
  settings.token_problem.clear();
  if (settings.token.empty()) throw UsageError("no token: give it on the terminal, on stdin or with --token");
  const std::string name = hub::who_am_i(settings);
  hub::save_token(settings, settings.token);
  print(
      fmt::format("logged in to {} as {}; the token is in {}\n", settings.shown_endpoint(), name, settings.token_path.string()));
  if (overruled) print("HF_TOKEN is set and goes before it\n");
  return 0;
}

}  // namespace

void add_login(CommandLine& line) {
  CLI::App* sub = line.app.add_subcommand("login", "Keep a token for private and gated models, as huggingface_hub does");
  const auto flags = std::make_shared<Flags>();
  sub->add_option("--token", flags->token,
                  "The token; without it, the terminal or stdin is read, which no list of processes shows");
  sub->add_flag("--logout", flags->logout, "Remove the token that is kept");
  sub->callback([&line, flags] { line.action = [flags] { return login(*flags); }; });
}

}  // namespace gale::cli
