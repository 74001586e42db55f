#pragma once
#include <filesystem>

#include "hub/transfer.h"

namespace gale::hub {

/// Brings a blob into the cache: in pieces over all connections, going on with what an earlier try left, and checked against its
/// name where that is a hash. Waits for another process that is at the same. The blob appears whole and right or not at all.
/// Throws Unreachable, after which the next try goes on; and Error{corrupt}: of a wrong hash nothing is kept, of a reply that is
/// not what was asked for nothing of that reply.
void download(const Source& source, const std::filesystem::path& blob, const std::filesystem::path& lock, Connections connections,
              const Settings& settings, Meter& meter);

}  // namespace gale::hub
