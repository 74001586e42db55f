#pragma once
#include <functional>
#include <stdexcept>
#include <string>

namespace CLI {
class App;
}

namespace gale::cli {

/// What a subcommand's flags lead to once they are read; returns the exit code.
using Action = std::function<int()>;

/// The command line being put together: each add_* function hangs its subcommand under `app`, which sets `action` when chosen.
struct CommandLine {
  CLI::App& app;
  Action action;
  bool verbose = false;  ///< every subcommand has -v
};

void add_run(CommandLine& line);
void add_bench(CommandLine& line);
void add_quantize(CommandLine& line);
void add_tokenize(CommandLine& line);
void add_template(CommandLine& line);
void add_logits(CommandLine& line);
void add_imatrix(CommandLine& line);
void add_perplexity(CommandLine& line);
void add_inspect(CommandLine& line);
void add_doctor(CommandLine& line);
void add_cache(CommandLine& line);
void add_login(CommandLine& line);

/// A wrong flag or value that only shows once several are seen together: exit code 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The whole program. Exit codes: 0 success, 2 a usage error, 1 any other, with one line "error: ..." on stderr.
int main_program(int argc, char** argv);

}  // namespace gale::cli
