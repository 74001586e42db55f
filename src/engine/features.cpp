#include "gale/features.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cctype>
#include <filesystem>

#include "base/cpu.h"
#include "base/cpu_budget.h"
#include "base/fail.h"
#include "base/json.h"
#include "base/log.h"

// The flags it was compiled with, where the build tells them.
#ifndef GALE_BUILD_FLAGS
#define GALE_BUILD_FLAGS ""
#endif

namespace gale {
namespace {

namespace fs = std::filesystem;

std::string canonical(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = c == '_' ? '-' : char(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// assert() tells, without a conditional, whether assertions are compiled in.
bool assertions_on() {
  struct Probe {
    static bool set(bool& on) { return on = true; }
  };
  bool on = false;
  assert(Probe::set(on));
  return on;
}

// Nothing of CUDA is opened or linked: files of the driver say enough for a build that does not use it.
bool cuda_driver_files() {
  std::error_code ignored;
  for (const char* folder : {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib",
                             "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib"})
    if (fs::exists(fs::path(folder) / "libcuda.so.1", ignored)) return true;
  return false;
}

int cuda_device_files() {
  std::error_code ignored;
  int count = 0;
  while (fs::exists("/dev/nvidia" + std::to_string(count), ignored)) ++count;
  return count;
}

void probe_cpu(Features& out) {
  const CpuFeatures cpu = detect_cpu();
  out.cpu_model = cpu.model;
  out.cpu_flags = cpu.flags;
  for (const Isa isa : cpu.isas) out.isas.emplace_back(isa_name(isa));
  try {
    out.isa = isa_name(isa_to_run(cpu));
  } catch (const Error& e) {
    out.isa_problem = e.what();
  }
  const CpuBudget budget = detect_cpu_budget();
  out.cores = int(budget.cores.size());
  out.quota = budget.quota;
  out.threads = budget.threads;
}

std::string cuda_detail(const Features& f) {
  if (f.cuda_devices > 0) return fmt::format("{} device(s) present, not used by this build", f.cuda_devices);
  return f.cuda_driver ? "driver present, no CUDA device" : "no CUDA device";
}

void list_instruction_sets(Features& f) {
  const auto add = [&](const char* name, const char* what, const char* hint) {
    const bool on = std::find(f.isas.begin(), f.isas.end(), name) != f.isas.end();
    f.list.push_back({name, on, on ? what : "not offered by this processor", on ? "" : hint});
  };
  add("generic", "portable kernels, the oracle of the others", "part of every build");
  add("avx2", "kernels for AVX2, FMA, F16C and BMI2", "needs an x86-64 processor of 2013 or later");
  add("avx512", "kernels for AVX-512 F, BW, DQ, VL and VNNI",
      "needs an x86-64 processor with AVX-512 VNNI; avx2 is used instead");
  add("avx512_bf16", "AVX-512 with the bf16 dot, for attention",
      "needs an x86-64 processor of 2020 or later; avx512 gives the same bits");
  add("neon", "kernels for Armv8 Advanced SIMD", "needs a 64-bit Arm processor and a build for it");
  add("neon_dotprod", "neon with the signed byte dot", "needs an Arm processor of 2018 or later; neon gives the same bits");
  add("neon_i8mm", "neon with the mixed byte dot", "needs an Arm processor of 2020 or later; neon_dotprod gives the same bits");
}

struct Plan {
  const char* name;
  bool enabled;
  const char* detail;
  const char* hint;
};

constexpr Plan kParts[] = {
    {"safetensors", true, "single files and sets with an index", ""},
    {"gguf", true, "versions 2 and 3, split files", ""},
    {"paged-attention", true, "keys and values in blocks of 64 slots, shared by all sequences", ""},
    {"flash-attn", true, "attention in one pass that never stores the scores, on every instruction set", ""},
    {"continuous-batching", true, "sequences join and leave between steps", ""},
    {"chunked-prefill", true, "long prompts are read in pieces under a token budget", ""},
    {"mixture-of-experts", true, "rows grouped by expert, at the cost of the experts that are used", ""},
    {"quantize", true, "gale quantize and --quant", ""},
    {"chat-templates", true, "Hugging Face's Jinja templates", ""},
};

constexpr Plan kMissing[] = {
    {"server", false, "not part of this version", "use gale run, or the C++ API in include/gale"},
    {"metal", false, "not part of this version", "runs on the CPU"},
    {"accelerate", false, "not used: Gale has kernels of its own", "nothing to install, nothing is lost"},
    {"mkl", false, "not used: Gale has kernels of its own", "nothing to install, nothing is lost"},
    {"nccl", false, "not part of this version", "runs on one machine's CPU"},
    {"python", false, "not part of this version", "call gale with --json"},
    {"lora", false, "not part of this version", "merge the adapter into the model first"},
    {"grammar", false, "not part of this version", "ask for the form in the prompt and check the answer"},
    {"vision", false, "not part of this version", "use a text model"},
    {"speech", false, "not part of this version", "use a text model"},
    {"diffusion", false, "not part of this version", "use a text model"},
};

void list_features(Features& f) {
  list_instruction_sets(f);
  for (const Plan& p : kParts) f.list.push_back({p.name, p.enabled, p.detail, p.hint});
  f.list.push_back({"cuda", false, cuda_detail(f), "this version computes on the CPU; nothing to switch on"});
  for (const Plan& p : kMissing) f.list.push_back({p.name, p.enabled, p.detail, p.hint});
}

Features probe() {
  Features f;
  f.version = GALE_VERSION;
  f.compiler = GALE_COMPILER;
  f.build_type = GALE_BUILD_TYPE;
  f.build_flags = GALE_BUILD_FLAGS;
  f.sanitizers = GALE_SANITIZERS;
  f.assertions = assertions_on();
  probe_cpu(f);
  f.memory_total = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  f.memory_available = int64_t(available_memory());
  f.cuda_driver = cuda_driver_files();
  f.cuda_devices = cuda_device_files();
  list_features(f);
  return f;
}

Json formats_json() {
  Json out = Json::array();
  for (const QuantSupport& q : quantization_formats())
    out.push_back({{"name", q.name},
                   {"state", quant_state_name(q.state)},
                   {"can_write", q.can_write},
                   {"detail", q.detail},
                   {"aliases", q.aliases},
                   {"hint", q.warning_message()}});
  return out;
}

const Feature& feature_named(std::string_view name) {
  if (const Feature* found = features().find(name)) return *found;
  std::string known;
  for (const Feature& f : features().list) known += (known.empty() ? "" : ", ") + f.name;
  fail(ErrorCode::invalid_argument, "unknown feature \"{}\"; known: {}", name, known);
}

}  // namespace

const Feature* Features::find(std::string_view name) const {
  const std::string wanted = canonical(name);
  for (const Feature& f : list)
    if (f.name == wanted) return &f;
  return nullptr;
}

std::string Features::summary() const {
  std::vector<std::string> on;
  for (const Feature& f : list)
    if (f.enabled) on.push_back(f.name);
  return on.empty() ? "no optional features" : fmt::format("{}", fmt::join(on, ", "));
}

std::string Features::to_json() const {
  Json listed = Json::array();
  for (const Feature& f : list)
    listed.push_back({{"name", f.name}, {"enabled", f.enabled}, {"detail", f.detail}, {"hint", f.hint}});
  const Json out = {{"build",
                     {{"version", version},
                      {"compiler", compiler},
                      {"type", build_type},
                      {"flags", build_flags},
                      {"sanitizers", sanitizers},
                      {"assertions", assertions}}},
                    {"cpu",
                     {{"model", cpu_model},
                      {"flags", cpu_flags},
                      {"isas", isas},
                      {"isa", isa},
                      {"isa_problem", isa_problem},
                      {"cores", cores},
                      {"quota", quota},
                      {"threads", threads}}},
                    {"memory", {{"total_bytes", memory_total}, {"available_bytes", memory_available}}},
                    {"cuda", {{"driver", cuda_driver}, {"devices", cuda_devices}, {"state", cuda_detail(*this)}}},
                    {"features", listed},
                    {"formats", formats_json()}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace);
}

const Features& features() {
  static const Features cached = probe();
  return cached;
}

void require_feature(std::string_view name) {
  const Feature& f = feature_named(name);
  require(f.enabled, ErrorCode::unsupported, "feature \"{}\" is off: {}; {}", f.name, f.detail, f.hint);
}

std::vector<std::string> compilation_hints(std::span<const std::string_view> names) {
  std::vector<std::string> out;
  for (const std::string_view name : names)
    if (const Feature& f = feature_named(name); !f.enabled) out.push_back(fmt::format("{}: {}", f.name, f.hint));
  return out;
}

void log_features() {
  static std::atomic<bool> done{false};
  if (done.exchange(true)) return;
  const Features& f = features();
  log_info("gale {} ({}), {}, {} of {} core(s), {}", f.version, f.compiler, f.isa.empty() ? f.isa_problem : f.isa, f.threads,
           f.cores, f.summary());
}

}  // namespace gale
