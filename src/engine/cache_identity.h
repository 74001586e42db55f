#pragma once
#include <span>
#include <string>

#include "base/cpu.h"
#include "checkpoint/checkpoint.h"
#include "kernels/ctx.h"
#include "kvcache/kvcache.h"
#include "nn/weights.h"

namespace gale {

/// Everything but the tokens that keys and values depend on. Equal identities give equal bits; where in doubt they differ.
struct CacheIdentity {
  std::string model;  ///< the weights as they were loaded, the config, the types of the cache, the precision
  std::string code;   ///< the program to the byte, its maths library, the processor, the instruction set, the block size

  Digest256 model_digest(const KeyedHash& hash) const;
  Digest256 digest(const KeyedHash& hash) const;  ///< of both
};

/// Reads all weights once: about as fast as memory.
CacheIdentity cache_identity(const Checkpoint& checkpoint, std::span<const LoadedWeight> weights,
                             std::span<const CacheLayer> layers, const KvFormat& format, Precision precision, Isa isa);

}  // namespace gale
