#include "base/cpu.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "base/fail.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace gale {
namespace {

constexpr Isa kAll[] = {Isa::generic, Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::neon, Isa::neon_dotprod, Isa::neon_i8mm};

std::string isa_list(const std::vector<Isa>& isas) {
  std::string out;
  for (Isa isa : isas) out += (out.empty() ? "" : ", ") + std::string(isa_name(isa));
  return out;
}

#if defined(__x86_64__)

bool bit(unsigned word, int index) { return (word >> index) & 1; }

std::string brand_string() {
  unsigned words[12] = {};
  if (__get_cpuid_max(0x80000000u, nullptr) < 0x80000004u) return "";
  for (unsigned i = 0; i < 3; ++i) {
    unsigned* w = words + 4 * i;
    __get_cpuid(0x80000002u + i, &w[0], &w[1], &w[2], &w[3]);
  }
  char text[49] = {};
  std::memcpy(text, words, 48);
  const std::string_view view(text);
  const size_t first = view.find_first_not_of(' ');
  return first == view.npos ? "" : std::string(view.substr(first));
}

// cpuid says what the core can do; XCR0 says which registers the operating system saves.
CpuFeatures detect() {
  CpuFeatures out;
  out.model = brand_string();
  unsigned a = 0, b = 0, c = 0, d = 0, b7 = 0, c7 = 0, d7 = 0, a71 = 0;
  __get_cpuid(1, &a, &b, &c, &d);
  const unsigned c1 = c;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) b7 = b, c7 = c, d7 = d;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) a71 = a;
  unsigned long long xcr0 = 0;
  if (bit(c1, 27)) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    xcr0 = (static_cast<unsigned long long>(high) << 32) | low;
  }
  const bool os_avx = (xcr0 & 0x6) == 0x6, os_avx512 = (xcr0 & 0xe6) == 0xe6, os_amx = (xcr0 & 0x60000) == 0x60000;
  const struct {
    const char* name;
    bool present;
  } known[] = {
      {"avx", os_avx && bit(c1, 28)},
      {"f16c", os_avx && bit(c1, 29)},
      {"fma", os_avx && bit(c1, 12)},
      {"avx2", os_avx && bit(b7, 5)},
      {"bmi2", bit(b7, 8)},
      {"avx_vnni", os_avx && bit(a71, 4)},
      {"avx512f", os_avx512 && bit(b7, 16)},
      {"avx512dq", os_avx512 && bit(b7, 17)},
      {"avx512bw", os_avx512 && bit(b7, 30)},
      {"avx512vl", os_avx512 && bit(b7, 31)},
      {"avx512_vnni", os_avx512 && bit(c7, 11)},
      {"avx512_vbmi", os_avx512 && bit(c7, 1)},
      {"avx512_bf16", os_avx512 && bit(a71, 5)},
      {"amx_int8", os_amx && bit(d7, 25)},
      {"amx_bf16", os_amx && bit(d7, 22)},
  };
  for (const auto& feature : known)
    if (feature.present) out.flags.push_back(feature.name);
  const auto has = [&](std::initializer_list<const char*> names) {
    return std::all_of(names.begin(), names.end(),
                       [&](const char* n) { return std::find(out.flags.begin(), out.flags.end(), n) != out.flags.end(); });
  };
  out.isas = {Isa::generic};
  if (has({"avx2", "fma", "f16c", "bmi2"})) {
    out.isas.push_back(Isa::avx2);
    if (has({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"})) {
      out.isas.push_back(Isa::avx512);
      if (has({"avx512_bf16"})) out.isas.push_back(Isa::avx512_bf16);
    }
  }
  return out;
}

#elif defined(__aarch64__)

CpuFeatures detect() {
  CpuFeatures out{"", {"neon"}, {Isa::generic, Isa::neon}};
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) == 0) return out;
  out.flags.push_back("dotprod");
  out.isas.push_back(Isa::neon_dotprod);
  if ((getauxval(AT_HWCAP2) & HWCAP2_I8MM) == 0) return out;
  out.flags.push_back("i8mm");
  out.isas.push_back(Isa::neon_i8mm);
  return out;
}

#else

CpuFeatures detect() { return {"", {}, {Isa::generic}}; }

#endif

}  // namespace

const char* isa_name(Isa isa) noexcept {
  switch (isa) {
    case Isa::generic:
      return "generic";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_bf16:
      return "avx512_bf16";
    case Isa::neon:
      return "neon";
    case Isa::neon_dotprod:
      return "neon_dotprod";
    case Isa::neon_i8mm:
      return "neon_i8mm";
  }
  return "generic";
}

CpuFeatures detect_cpu() { return detect(); }

Isa isa_to_run(const CpuFeatures& cpu, std::string_view named) {
  const char* variable = std::getenv("GALE_ISA");
  return choose_isa(cpu, named.empty() && variable != nullptr ? variable : named);
}

Isa choose_isa(const CpuFeatures& cpu, std::string_view wanted) {
  if (wanted.empty()) return cpu.isas.back();
  for (Isa isa : kAll) {
    if (wanted != isa_name(isa)) continue;
    require(std::find(cpu.isas.begin(), cpu.isas.end(), isa) != cpu.isas.end(), ErrorCode::unsupported,
            "GALE_ISA={}: this machine cannot run it; it can run {}", wanted, isa_list(cpu.isas));
    return isa;
  }
  fail(ErrorCode::invalid_argument, "GALE_ISA={} is not an instruction set Gale knows; this machine can run {}", wanted,
       isa_list(cpu.isas));
}

}  // namespace gale
