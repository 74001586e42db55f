#pragma once
#include <string>

#include "engine/cache_identity.h"
#include "engine/inbox.h"
#include "gale/engine.h"

namespace gale {

/// What sessions need of a running engine.
struct SessionPlace {
  Inbox& inbox;  ///< of the engine, whose thread alone touches the cache
  KvCache& kv;
  const BlockNames* names;  ///< null: texts share nothing, and a session is its text alone
  const ModelInfo& info;
  const CacheIdentity& identity;
};

/// Engine::save_session and Engine::load_session, from any thread but the engine's. Blocks are copied a few at a time, between
/// steps: nobody else waits for the whole of it, nor for the disk.
void save_session(const SessionPlace& place, const std::string& file, const Session& session, const std::string& salt);
Session load_session(const SessionPlace& place, const std::string& file, const std::string& salt);

}  // namespace gale
