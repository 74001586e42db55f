#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace gale::cli {

/// The candidate a typing error away from `word`, or "" where none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);
/// An existing neighbour of a path that does not exist, or "".
std::string nearest_path(const std::filesystem::path& path);

}  // namespace gale::cli
