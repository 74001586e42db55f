#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "engine/export_folder.h"
#include "engine/pack_model.h"
#include "engine/weight_plan.h"

namespace gale::cli {
namespace {

struct Flags {
  std::string model, output;
  QuantRecipe recipe;
  int threads = 0;
  bool packed = false, json = false;
};

void check(const Flags& flags) {
  if (flags.packed && !flags.output.ends_with(".gale"))
    throw UsageError(fmt::format("-o {}: the output is a packed file, its name must end in .gale", flags.output));
  if (!flags.packed && !flags.output.ends_with(".gguf") && !names_folder(flags.output))
    throw UsageError(
        fmt::format("-o {}: a name that ends in .gguf is a GGUF's, one that ends in .gale goes with --packed, and any "
                    "other a folder's, without an extension of a model file",
                    flags.output));
  if (flags.recipe.empty() && !flags.packed)
    throw UsageError("--type is missing; only --packed and --topology can do without: weights keep their own types then");
}

int quantize(const Flags& asked) {
  Flags flags = asked;
  QuantRecipe& recipe = flags.recipe;
  forget_idle_variables(recipe.imatrix, recipe.calibrate, recipe.experts_only, recipe.type, recipe.topology);
  check(flags);
  check_calibration(flags.model, flags.recipe.calibrate);
  const std::string model = find_model(flags.model, "", ModelFiles::all).path;
  const double start = now_seconds();
  ExportReport report;
  {
    Progress bar(flags.packed ? "packing" : "quantizing");
    const auto write = flags.packed ? pack_model : flags.output.ends_with(".gguf") ? quantize_model : write_folder;
    report = with_suggestion(model, [&] {
      return write(model, flags.recipe, flags.output, flags.threads,
                   [&](int64_t done, int64_t total) { bar.update(done, total); });
    });
  }
  const double seconds = now_seconds() - start, bits = 8 * double(report.bytes) / double(std::max<int64_t>(report.parameters, 1));
  if (flags.json) {
    print_json({{"output", flags.output},
                {"type", report.type},
                {"packed", flags.packed},
                {"tensors", report.tensors},
                {"parameters", report.parameters},
                {"source_bytes", report.source_bytes},
                {"bytes", report.bytes},
                {"bits_per_weight", bits},
                {"seconds", seconds},
                {"note", report.note}});
    return 0;
  }
  print(fmt::format("{}: {} tensors, {} from {}, {:.2f} bits per weight, {:.1f} s\n", flags.output, report.tensors,
                    size_text(report.bytes), size_text(report.source_bytes), bits, seconds));
  if (!report.note.empty()) print(report.note + "\n");
  return 0;
}

}  // namespace

void add_quantize(CommandLine& line) {
  CLI::App* sub = line.app.add_subcommand(
      "quantize", "Write a model as a GGUF of a smaller type, as a folder for other libraries, or packed for a fast start");
  const auto flags = std::make_shared<Flags>();
  sub->add_option("-m,--model", flags->model,
                  "A folder, a .gguf or .safetensors file, a repository org/name, demo, or random:SHAPE")
      ->required();
  sub->add_option("--type", flags->recipe.type,
                  quant_names() + "; with --packed, none: the model's own, but for GPTQ with act-order")
      ->check(check_quant);
  QuantRecipe& recipe = flags->recipe;
  add_recipe_flags(*sub, recipe.topology, recipe.imatrix, recipe.calibrate, recipe.experts_only, "--type");
  sub->add_option("-o,--output", flags->output,
                  "What to write: NAME.gguf, with --packed NAME.gale; any other name is a folder as "
                  "Hugging Face has them, for types of its libraries (gptq, nf4, fp4, int8, hqq, afq, fp8, fp8_block, bf16 ...)")
      ->required();
  sub->add_flag("--packed", flags->packed, "Store matrices as kernels read them: opening the file is then an mmap");
  sub->add_option("-t,--threads", flags->threads, "Threads; 0: the cores this process may use")->check(CLI::Range(0, 1024));
  sub->add_flag("--json", flags->json, "Print one JSON object");
  sub->callback([&line, flags] { line.action = [flags] { return quantize(*flags); }; });
}

}  // namespace gale::cli
