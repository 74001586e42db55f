#include "cli/suggest.h"

#include <algorithm>
#include <cctype>

namespace gale::cli {
namespace {

constexpr size_t kMaxNeighbours = 1000;  // of a folder with more, the first ones do

// Letters added, dropped, replaced or swapped with their neighbour; case aside.
size_t distance(std::string_view a, std::string_view b) {
  const auto same = [&](size_t i, size_t j) {
    return std::tolower(static_cast<unsigned char>(a[i])) == std::tolower(static_cast<unsigned char>(b[j]));
  };
  std::vector<std::vector<size_t>> least(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      size_t& d = least[i][j];
      d = i == 0 ? j : least[i - 1][j] + 1;
      if (j > 0) d = std::min(d, least[i][j - 1] + 1);
      if (i > 0 && j > 0) d = std::min(d, least[i - 1][j - 1] + (same(i - 1, j - 1) ? 0 : 1));
      if (i > 1 && j > 1 && same(i - 1, j - 2) && same(i - 2, j - 1)) d = std::min(d, least[i - 2][j - 2] + 1);
    }
  }
  return least[a.size()][b.size()];
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.empty() || word.size() > 256) return "";
  std::string best;
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates)
    if (const size_t d = distance(word, candidate); d < least) {
      least = d;
      best = candidate;
    }
  if (!best.empty()) return best;
  for (const std::string& candidate : candidates)  // --temperature for --temp
    if (candidate.size() > 4 && word.starts_with(candidate)) return candidate;
  return "";
}

std::string nearest_path(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end && names.size() < kMaxNeighbours;
       it.increment(error))
    names.push_back(it->path().filename().string());
  const std::string name = nearest(path.filename().string(), names);
  return name.empty() ? "" : (path.has_parent_path() ? folder / name : std::filesystem::path(name)).string();
}

}  // namespace gale::cli
