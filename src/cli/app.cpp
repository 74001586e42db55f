#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <span>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/suggest.h"
#include "gale/error.h"
#include "gale/features.h"

namespace gale::cli {
namespace {

constexpr int kUsage = 2;

// Errors list tensors and lines; scripts read one line.
std::string fold(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool space = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!space)
      out += std::iscntrl(static_cast<unsigned char>(c)) ? '?' : c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

int report(std::string_view message, int code) {
  std::fflush(stdout);
  const std::string line = "error: " + fold(message) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
  return code;
}

// --top-p may come from GALE_TOP_P, and so on for every flag of a command.
void name_variables(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty() || option->get_lnames()[0] == "help" || option->get_lnames()[0] == "version") continue;
    std::string name = "GALE_";
    for (const char c : option->get_lnames()[0]) name += c == '-' ? '_' : char(std::toupper(static_cast<unsigned char>(c)));
    option->envname(name);
  }
  for (CLI::App* sub : app.get_subcommands({})) name_variables(*sub);
}

// Only those of the command that runs: CLI11 reads the variables of all that have names for them, and a value that one of them
// cannot take would end every other.
void name_variables_of_chosen(CLI::App& app, std::span<char* const> arguments) {
  const auto command = std::ranges::find_if(arguments, [](std::string_view word) { return !word.starts_with('-'); });
  for (CLI::App* sub : app.get_subcommands({}))
    if (command != arguments.end() && sub->check_name(*command)) name_variables(*sub);
}

std::vector<std::string> flag_names(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) out.push_back("--" + name);
  return out;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::App* sub : app.get_subcommands({})) out.push_back(sub->get_name());
  return out;
}

// What was not understood, and what may have been meant.
std::string unexpected(CLI::App& app) {
  const CLI::App* at = &app;
  if (const auto chosen = app.get_subcommands(); !chosen.empty()) at = chosen[0];
  const auto rest = app.remaining(true);
  const std::string word = rest.empty() ? "" : rest.front().substr(0, rest.front().find('='));
  const bool flag = word.starts_with("-");
  const std::string command = at == &app ? "gale" : "gale " + at->get_name();
  const std::string meant = nearest(word, flag ? flag_names(*at) : command_names(*at));
  return fmt::format("{} {} \"{}\"{} ({} --help lists what there is)", command,
                     flag || at == &app ? "does not know" : "does not expect", word,
                     meant.empty() ? "" : fmt::format(", did you mean {}?", meant), command);
}

int parse_failed(CLI::App& app, const CLI::ParseError& e) {
  if (e.get_exit_code() == 0) return app.exit(e, std::cout, std::cerr) == 0 && std::cout.flush() ? 0 : 1;
  if (dynamic_cast<const CLI::ExtrasError*>(&e) != nullptr) return report(unexpected(app), kUsage);
  if (dynamic_cast<const CLI::RequiredError*>(&e) != nullptr) {
    if (app.remaining_size(true) > 0) return report(unexpected(app), kUsage);  // a mistyped flag leaves the right one missing
    if (app.get_subcommands().empty()) return report("which command? gale --help lists them; \"gale run\" starts a chat", kUsage);
  }
  return report(e.what(), kUsage);
}

int run_action(const Action& action) {
  try {
    const int code = action();
    // A full disk or a closed pipe shows only here.
    if (std::fflush(stdout) != 0 && !output_closed()) return report("cannot write the output: the disk may be full", 1);
    return code;
  } catch (const UsageError& e) {
    return report(e.what(), kUsage);
  } catch (const OutputClosed&) {
    return 0;
  } catch (const std::bad_alloc&) {
    return report("out of memory", 1);
  } catch (const std::exception& e) {
    return report(e.what(), 1);
  }
}

}  // namespace

int main_program(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that leaves (`gale ... | head`) is no error
  CLI::App app("Gale runs language models.", "gale");
  app.require_subcommand(1);
  app.set_version_flag("--version", [] { return "gale " + features().version; });
  CommandLine line{app, {}, false};
  for (const auto add : {add_run, add_bench, add_quantize, add_imatrix, add_perplexity, add_tokenize, add_template, add_logits,
                         add_inspect, add_doctor, add_cache, add_login})
    add(line);
  for (CLI::App* sub : app.get_subcommands({})) sub->add_flag("-v,--verbose", line.verbose, "Say more on stderr, speed too");
  name_variables_of_chosen(app, std::span(argv, size_t(argc)).subspan(1));
  app.footer(
      "Every flag has a variable: --top-p is GALE_TOP_P. MODEL is a folder, a .gguf, .safetensors or .gale file, a "
      "repository org/name[:TYPE][@REVISION], demo, or random:SHAPE.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return parse_failed(app, e);
  }
  log_to_stderr(line.verbose ? LogLevel::info : LogLevel::warning);
  return run_action(line.action);
}

}  // namespace gale::cli
