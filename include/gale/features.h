#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gale {

/// One thing a build or a machine may or may not offer.
struct Feature {
  std::string name;      ///< "avx512", "cuda", "paged-attention"
  bool enabled = false;  ///< this program has it and this machine can run it
  std::string detail;    ///< what it is, or why it is off
  std::string hint;      ///< what to do to have it, never empty where it is off
};

/// How far a weight format is supported.
enum class QuantState : uint8_t {
  stable,        ///< read and computed with
  experimental,  ///< works, but is read only or young; warning() says what to expect
  unsupported,   ///< known, not yet readable
  unknown,       ///< no weight format of that name
};
const char* quant_state_name(QuantState state) noexcept;

/// The answer about one weight format.
struct QuantSupport {
  std::string name;  ///< the canonical name, "q4_k" for "Q4_K"; the name asked for where it is unknown
  QuantState state = QuantState::unknown;
  bool can_write = false;  ///< `gale quantize` and --quant make it
  std::string detail;      ///< what it is
  std::vector<std::string> aliases;

  bool is_usable() const { return state == QuantState::stable || state == QuantState::experimental; }
  /// One sentence for whoever asked for this format, "" where there is nothing to warn of.
  std::string warning_message() const;
};

/// What this program was built with and what this machine has. Probed once per process.
struct Features {
  // The build.
  std::string version, compiler, build_type, build_flags, sanitizers;
  bool assertions = false;
  // The machine.
  std::string cpu_model;
  std::vector<std::string> cpu_flags;
  std::vector<std::string> isas;                   ///< kernels that can run here, slowest first
  std::string isa;                                 ///< the one chosen: GALE_ISA or the fastest
  std::string isa_problem;                         ///< why GALE_ISA cannot be obeyed, "" where it can
  int cores = 0;                                   ///< physical cores within the affinity mask
  double quota = 0;                                ///< CPUs by cgroup quota, 0: no limit
  int threads = 0;                                 ///< compute threads an engine takes by default
  int64_t memory_total = 0, memory_available = 0;  ///< bytes, 0 where unknown
  bool cuda_driver = false;                        ///< libcuda is installed
  int cuda_devices = 0;                            ///< device files found; Gale does not use them yet

  std::vector<Feature> list;

  /// nullptr for an unknown name; case and '_' against '-' do not matter.
  const Feature* find(std::string_view name) const;
  /// The names of what is on, by commas: "avx2, avx512, ..."; "no optional features" where nothing is.
  std::string summary() const;
  /// All of it as one JSON object.
  std::string to_json() const;
};

/// Cached; may be called from any thread.
const Features& features();

/// Throws Error{unsupported} with a hint where the feature is off, Error{invalid_argument} listing the names for an unknown one.
void require_feature(std::string_view name);
/// What to do to have the features that are off among those named, one line each; empty where all are on. Throws for unknown
/// names.
std::vector<std::string> compilation_hints(std::span<const std::string_view> names);

/// Support of a weight format by name or alias, any case, '-' as good as '_'.
QuantSupport quantization_support(std::string_view name);
/// Every weight format Gale knows of, in the order of kinship.
std::vector<QuantSupport> quantization_formats();

/// Writes one line about build and machine to the log, the first time it is called in a process.
void log_features();

}  // namespace gale
