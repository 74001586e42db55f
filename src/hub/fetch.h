#pragma once
#include <filesystem>
#include <functional>

#include "hub/choice.h"
#include "hub/settings.h"
#include "hub/transfer.h"

namespace gale::hub {

/// A model on this machine.
struct Fetched {
  std::filesystem::path path;  ///< a folder, or a .gguf in one
  bool by_quant = false;       ///< Wanted::quant chose the .gguf: it has that type already
};

/// Resolves a repository and brings what is missing of it into the cache. Offline, and where the hub cannot be reached, what is
/// in the cache has to do. Throws Error saying what is missing and what to do about it.
Fetched fetch(const RepoName& repo, const Wanted& wanted, const Settings& settings, const Meter::Report& progress = {});

/// The name that the hub knows the settings' token by. Throws Error where it knows none.
std::string who_am_i(const Settings& settings);

}  // namespace gale::hub
