#include "engine/open_drafter.h"

#include "base/fail.h"
#include "speculation/ngram.h"

namespace gale {

void check_drafter(const EngineOptions& options) {
  require(options.draft.empty() || options.draft == "none" || options.draft == "ngram", ErrorCode::invalid_argument,
          "draft is \"{}\", but must be ngram or none", options.draft);
}

std::unique_ptr<Drafter> open_drafter(const EngineOptions& options) {
  if (options.draft == "ngram") return std::make_unique<NgramDrafter>();
  return nullptr;
}

}  // namespace gale
