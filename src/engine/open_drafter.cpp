#include "engine/open_drafter.h"

#include "base/fail.h"
#include "speculation/ngram.h"

namespace gale {

void check_drafter(const EngineOptions& options) {
  require(options.draft.empty() || options.draft == "off" || options.draft == "ngram", ErrorCode::invalid_argument,
          "draft is \"{}\", but drafters are ngram and off", options.draft);
}

std::unique_ptr<Drafter> open_drafter(const EngineOptions& options) {
  if (options.draft == "ngram") return std::make_unique<NgramDrafter>();
  return nullptr;
}

}  // namespace gale
