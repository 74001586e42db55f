#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "engine/export_gguf.h"

namespace gale::cli {
namespace {

struct Flags {
  std::string model, type, output;
  int threads = 0;
  bool json = false;
};

int quantize(const Flags& flags) {
  if (!flags.output.ends_with(".gguf"))
    throw UsageError(fmt::format("-o {}: the output is a GGUF file, its name must end in .gguf", flags.output));
  const double start = now_seconds();
  ExportReport report;
  {
    Progress bar("quantizing");
    report = with_suggestion(flags.model, [&] {
      return quantize_model(flags.model, flags.type, flags.output, flags.threads,
                            [&](int64_t done, int64_t total) { bar.update(done, total); });
    });
  }
  const double seconds = now_seconds() - start, bits = 8 * double(report.bytes) / double(std::max<int64_t>(report.parameters, 1));
  if (flags.json) {
    print_json({{"output", flags.output},
                {"type", flags.type},
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
  CLI::App* sub = line.app.add_subcommand("quantize", "Write a model as a GGUF of a smaller type");
  const auto flags = std::make_shared<Flags>();
  sub->add_option("-m,--model", flags->model, "A folder, a .gguf or .safetensors file, demo, or random:SHAPE")->required();
  sub->add_option("--type", flags->type, quant_names())->required()->check(check_quant);
  sub->add_option("-o,--output", flags->output, "The file to write")->required();
  sub->add_option("-t,--threads", flags->threads, "Threads; 0: the cores this process may use")->check(CLI::Range(0, 1024));
  sub->add_flag("--json", flags->json, "Print one JSON object");
  sub->callback([&line, flags] { line.action = [flags] { return quantize(*flags); }; });
}

}  // namespace gale::cli
