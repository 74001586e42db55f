#pragma once
#include <filesystem>
#include <vector>

namespace gale {

/// How many compute threads this process may use.
struct CpuBudget {
  std::vector<int> cores;  ///< one logical CPU per physical core, within the affinity mask
  double quota = 0;        ///< CPUs by cgroup quota (v2 cpu.max or v1 cfs), 0: no limit
  int threads = 1;         ///< min(cores, floor(quota)), at least 1
};

/// Reads the affinity mask, /sys for SMT siblings, and every cgroup from this process's up to the root.
/// `root` stands before /proc and /sys, for tests.
CpuBudget detect_cpu_budget(const std::filesystem::path& root = "/");

/// Bytes of memory this process may use: MemAvailable, or less where a cgroup limits it. 0 where unknown.
size_t available_memory(const std::filesystem::path& root = "/");

}  // namespace gale
