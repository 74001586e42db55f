#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/fail.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "gale/features.h"

namespace gale::cli {
namespace {

std::string or_unknown(const std::string& text) { return text.empty() ? "unknown" : text; }

void print_machine(const Features& f) {
  std::string isas, flags;
  for (const auto& isa : f.isas) isas += (isas.empty() ? "" : ", ") + isa;
  for (const auto& flag : f.cpu_flags) flags += (flags.empty() ? "" : " ") + flag;
  print(fmt::format("gale {}\n\nBuild\n  compiler      {}\n  type          {}{}\n", f.version, f.compiler,
                    or_unknown(f.build_type), f.assertions ? ", with assertions" : ""));
  print(fmt::format("  flags         {}\n  sanitizers    {}\n", or_unknown(f.build_flags),
                    f.sanitizers.empty() ? "none" : f.sanitizers));
  print(fmt::format("\nMachine\n  processor     {}\n  features      {}\n  kernels       {} (available: {})\n",
                    or_unknown(f.cpu_model), flags, f.isa_problem.empty() ? f.isa : "none: " + f.isa_problem, isas));
  const std::string quota = f.quota > 0 ? fmt::format(", a quota of {:.2g} CPUs", f.quota) : "";
  print(fmt::format("  cores         {} by affinity{}; {} compute thread(s) by default\n", f.cores, quota, f.threads));
  print(fmt::format("  memory        {}, {} available\n", size_text(f.memory_total),
                    f.memory_available > 0 ? size_text(f.memory_available) : "unknown"));
  print(fmt::format("  CUDA          {}\n", f.find("cuda")->detail));
}

void print_lists(const Features& f) {
  print("\nFeatures\n");
  for (const Feature& feature : f.list)
    print(fmt::format("  {:<20} {:<4} {}{}\n", feature.name, feature.enabled ? "on" : "off", feature.detail,
                      feature.hint.empty() ? "" : " (" + feature.hint + ")"));
  print("\nWeight formats\n");
  for (const QuantSupport& q : quantization_formats())
    print(fmt::format("  {:<20} {:<12} {:<11} {}\n", q.name, quant_state_name(q.state),
                      q.can_write     ? "read, write"
                      : q.is_usable() ? "read"
                                      : "-",
                      q.detail));
  print("\nFor a model in an unsupported format: take it in another form, such as a GGUF of one that is stable.\n");
}

}  // namespace

void add_doctor(CommandLine& line) {
  CLI::App* sub = line.app.add_subcommand("doctor", "What this build and this machine offer");
  const auto json = std::make_shared<bool>(false);
  sub->add_flag("--json", *json, "Print one JSON object");
  sub->callback([&line, json] {
    line.action = [json] {
      const Features& f = features();
      if (*json) {
        print(f.to_json() + "\n");
      } else {
        print_machine(f);
        print_lists(f);
      }
      require(f.isa_problem.empty(), ErrorCode::unsupported, "{}", f.isa_problem);
      return 0;
    };
  });
}

}  // namespace gale::cli
