#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace gale {

/// Instruction sets Gale has kernels for. `avx512` means F, BW, DQ, VL and VNNI; a machine with less runs `avx2`.
/// `avx512_bf16` has the bf16 dot instruction as well; `neon_dotprod` and `neon_i8mm` have sdot and usdot.
enum class Isa { generic, avx2, avx512, avx512_bf16, neon, neon_dotprod, neon_i8mm };

const char* isa_name(Isa isa) noexcept;

/// What the processor and the operating system offer, probed once by the caller and passed on.
struct CpuFeatures {
  std::string model;               ///< brand string, "" where unknown
  std::vector<std::string> flags;  ///< the features Gale knows how to use: "avx2", "fma", "avx512_vnni" ...
  std::vector<Isa> isas;           ///< kernels that can run here, slowest first; generic always
};

CpuFeatures detect_cpu();

/// The instruction set to run: `named` where it is not empty ("generic", "avx2" ...), else the one in the GALE_ISA variable, else
/// the fastest. Everything that computes, measures or reports asks here. Throws as choose_isa does.
Isa isa_to_run(const CpuFeatures& cpu, std::string_view named = "");

/// `wanted` by its name, or the fastest when it is empty.
/// Throws Error{invalid_argument} for an unknown name, Error{unsupported} for one this machine lacks, listing those it has.
Isa choose_isa(const CpuFeatures& cpu, std::string_view wanted);

}  // namespace gale
