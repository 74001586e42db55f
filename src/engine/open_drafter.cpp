#include "engine/open_drafter.h"

#include <algorithm>
#include <utility>

#include "base/fail.h"
#include "engine/model_drafter.h"
#include "speculation/ngram.h"

namespace gale {
namespace {

// Null where one's token ids are the other's.
std::unique_ptr<const Translation> translation_between(const Runtime& target, const Runtime& own) {
  const Tokenizer *theirs = target.tokenizer.get(), *ours = own.tokenizer.get();
  if (theirs != nullptr && ours != nullptr)
    return Translation::is_needless(*theirs, *ours) ? nullptr : std::make_unique<const Translation>(*theirs, *ours);
  require(target.info.vocab == own.info.vocab, ErrorCode::unsupported,
          "the draft model {} has {} tokens and the model {}, and {} has no tokenizer to tell one's in the other's; take a draft "
          "model "
          "with the same vocabulary",
          own.info.source, own.info.vocab, target.info.vocab, theirs == nullptr ? target.info.source : own.info.source);
  return nullptr;
}

std::unique_ptr<Drafter> open_model(const EngineOptions& options, const Runtime& target) {
  EngineOptions own = options;
  own.model = options.draft_model;
  own.draft = own.draft_model = own.quant = own.topology = own.imatrix = own.calibrate = own.chat_template = own.prefix_store =
      "";
  own.quant_experts = false;
  own.kv_bytes = 0;
  own.context = 0;
  own.progress = {};
  Runtime runtime = load_beside(own, target.pool);
  auto translation = translation_between(target, runtime);
  return std::make_unique<ModelDrafter>(std::move(runtime), std::move(translation));
}

}  // namespace

void check_drafter(const EngineOptions& options) {
  constexpr std::string_view kKinds[] = {"", "none", "ngram", "model"};
  require(std::ranges::count(kKinds, options.draft) > 0, ErrorCode::invalid_argument,
          "draft is \"{}\", but must be ngram, model or none", options.draft);
  require(options.draft != "model" || !options.draft_model.empty(), ErrorCode::invalid_argument,
          "draft is \"model\", but draft_model does not say which");
}

std::unique_ptr<Drafter> open_drafter(const EngineOptions& options, const Runtime& target) {
  if (options.draft == "ngram") return std::make_unique<NgramDrafter>();
  if (options.draft_model.empty() || options.draft == "none") return nullptr;
  return open_model(options, target);
}

}  // namespace gale
