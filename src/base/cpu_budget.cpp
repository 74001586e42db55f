#include "base/cpu_budget.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <set>
#include <sstream>
#include <string>

namespace gale {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> first_line(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  if (!in || !std::getline(in, line)) return std::nullopt;
  return line;
}

// Folders of this process's cgroup and its parents, under the v2 mount and the v1 mount of `controller`.
std::vector<fs::path> cgroup_folders(const fs::path& root, const std::string& controller) {
  std::vector<fs::path> out;
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t a = line.find(':'), b = line.find(':', a + 1);
    if (a == line.npos || b == line.npos) continue;
    const std::string controllers = line.substr(a + 1, b - a - 1);
    const bool v2 = controllers.empty();
    if (!v2 && ("," + controllers + ",").find("," + controller + ",") == std::string::npos) continue;
    const fs::path mount = root / (v2 ? fs::path("sys/fs/cgroup") : fs::path("sys/fs/cgroup") / controller);
    fs::path below = fs::path(line.substr(b + 1)).relative_path();
    while (!below.empty()) {
      out.push_back(mount / below);
      below = below.parent_path();
    }
    out.push_back(mount);
  }
  return out;
}

double cgroup_quota(const fs::path& root) {
  double lowest = 0;
  for (const auto& folder : cgroup_folders(root, "cpu")) {
    double quota = 0, period = 0;
    if (const auto v2 = first_line(folder / "cpu.max")) {
      std::istringstream(*v2) >> quota >> period;  // "max 100000" leaves quota at 0
    } else {
      const auto q = first_line(folder / "cpu.cfs_quota_us"), p = first_line(folder / "cpu.cfs_period_us");
      if (q && p) quota = std::atof(q->c_str()), period = std::atof(p->c_str());
    }
    if (quota > 0 && period > 0 && (lowest == 0 || quota / period < lowest)) lowest = quota / period;
  }
  return lowest;
}

}  // namespace

CpuBudget detect_cpu_budget(const fs::path& root) {
  CpuBudget out;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) CPU_SET(0, &mask);
  std::set<std::string> seen;  // physical cores, by their list of siblings
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    const auto name = "sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list";
    const std::string siblings = first_line(root / name).value_or("cpu " + std::to_string(cpu));
    if (seen.insert(siblings).second) out.cores.push_back(cpu);
  }
  out.quota = cgroup_quota(root);
  out.threads = std::max<int>(1, int(out.cores.size()));
  if (out.quota > 0) out.threads = std::clamp(int(std::floor(out.quota)), 1, out.threads);
  return out;
}

namespace {

// Pages of files in a group's memory: the system takes them back when others are wanted. Zero where it does not say.
size_t file_pages(const fs::path& folder) {
  std::ifstream in(folder / "memory.stat");
  size_t all = 0, of_all_below = 0;  // the old hierarchy has both
  std::string key;
  for (size_t bytes = 0; in >> key >> bytes;) {
    if (key == "inactive_file" || key == "active_file") all += bytes;
    if (key == "total_inactive_file" || key == "total_active_file") of_all_below += bytes;
  }
  return std::max(all, of_all_below);
}

}  // namespace

size_t available_memory(const fs::path& root) {
  size_t lowest = 0;
  std::ifstream in(root / "proc/meminfo");
  for (std::string key, unit; in >> key;) {
    size_t kib = 0;
    in >> kib;
    std::getline(in, unit);
    if (key == "MemAvailable:") lowest = kib * 1024;
  }
  for (const auto& folder : cgroup_folders(root, "memory")) {
    for (const auto& [limit_name, used_name] :
         {std::pair("memory.max", "memory.current"), std::pair("memory.limit_in_bytes", "memory.usage_in_bytes")}) {
      const auto limit = first_line(folder / limit_name), used = first_line(folder / used_name);
      if (!limit || !used || !std::isdigit(static_cast<unsigned char>((*limit)[0]))) continue;
      const size_t l = std::strtoull(limit->c_str(), nullptr, 10), u = std::strtoull(used->c_str(), nullptr, 10);
      const size_t held = u - std::min(u, file_pages(folder)), left = l > held ? l - held : 0;
      if (l < std::numeric_limits<int64_t>::max() / 2 && (lowest == 0 || left < lowest)) lowest = left;
    }
  }
  return lowest;
}

}  // namespace gale
