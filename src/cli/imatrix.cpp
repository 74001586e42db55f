#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "cli/windows.h"
#include "engine/importance.h"
#include "engine/quant_recipe.h"

namespace gale::cli {
namespace {

struct Flags {
  ModelFlags model;
  WindowFlags text;
  std::string output;
  bool json = false;
};

std::unique_ptr<Calibration> open(const Flags& flags) {
  EngineOptions options = engine_options(flags.model);
  if (options.context == 0) options.context = flags.text.window;
  Progress bar("loading");
  options.progress = [&bar](int64_t done, int64_t total) { bar.update(done, total); };
  return with_suggestion(options.model, [&] { return std::make_unique<Calibration>(options); });
}

int imatrix(const Flags& flags) {
  if (const std::string problem = imatrix_ending_problem(flags.output); !problem.empty()) throw UsageError("-o " + problem);
  std::error_code error;
  const std::filesystem::path output = flags.output, folder = std::filesystem::absolute(output, error).parent_path();
  if (std::filesystem::is_directory(output, error)) throw UsageError("-o " + flags.output + " is a folder; name a file in it");
  if (!std::filesystem::is_directory(folder, error))
    throw UsageError("-o " + flags.output + ": there is no folder " + folder.string());
  const double start = now_seconds();
  const auto calibration = open(flags);
  QuantRecipe().check_output(calibration->engine().checkpoint(), output);
  if (std::filesystem::equivalent(output, flags.text.file, error)) throw UsageError("-o " + flags.output + " is the text itself");
  const auto windows = windows_of(flags.text, calibration->engine());
  {
    Progress bar("calibrating", Progress::Unit::windows);
    for (size_t i = 0; i < windows.size(); ++i) {
      calibration->engine().logits(windows[i]);
      bar.update(int64_t(i + 1), int64_t(windows.size()));
    }
  }
  ImportanceMatrix matrix = calibration->importance(flags.output.ends_with(".cimatrix"));
  matrix.datasets = {flags.text.file == "-" ? "stdin" : std::filesystem::path(flags.text.file).filename().string()};
  matrix.chunks = int64_t(windows.size());
  matrix.chunk_tokens = int64_t(windows.front().size());
  write_imatrix(matrix, flags.output);
  const double seconds = now_seconds() - start;
  if (flags.json)
    print_json({{"output", flags.output},
                {"entries", matrix.entries.size()},
                {"windows", windows.size()},
                {"window", matrix.chunk_tokens},
                {"seconds", seconds}});
  else
    print(fmt::format("{}: {} matrices over {} windows of {} tokens, {:.1f} s\n", flags.output, matrix.entries.size(),
                      windows.size(), matrix.chunk_tokens, seconds));
  return 0;
}

}  // namespace

void add_imatrix(CommandLine& line) {
  CLI::App* sub = line.app.add_subcommand(
      "imatrix",
      "Collect an importance matrix: what of a text goes into each weight, for quantize --imatrix and --quant --imatrix");
  const auto flags = std::make_shared<Flags>();
  add_model_flags(*sub, flags->model);
  add_window_flags(*sub, flags->text);
  sub->add_option("-o,--output", flags->output, "The file to write: .gguf, .dat or .imatrix (older llama.cpp), .cimatrix")
      ->required();
  sub->add_flag("--json", flags->json, "Print one JSON object");
  sub->callback([&line, flags] { line.action = [flags] { return imatrix(*flags); }; });
}

}  // namespace gale::cli
