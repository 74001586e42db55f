#include "cli/text.h"

#include "base/cpu_budget.h"
#include "base/fail.h"
#include "base/threads.h"
#include "cli/progress.h"
#include "engine/open_tokenizer.h"

namespace gale::cli {

LocalModel find_model(const std::string& model, std::string_view quant, ModelFiles files) {
  Progress bar("downloading");
  return with_suggestion(
      model, [&] { return local_model(model, quant, files, [&bar](int64_t done, int64_t total) { bar.update(done, total); }); });
}

std::shared_ptr<const Checkpoint> open_checkpoint(const std::string& model, std::string_view random_type) {
  ThreadPool pool(is_random_model(model) ? detect_cpu_budget().threads : 1);
  return with_suggestion(model, [&] { return open_model(model, random_type, pool); });
}

TextModel open_text(const std::string& model) {
  TextModel out;
  const LocalModel local = find_model(model, "", ModelFiles::text);
  out.checkpoint = local.no_weights ? Checkpoint::open_text(local.path) : open_checkpoint(local.path);
  out.tokenizer = open_tokenizer(*out.checkpoint);
  out.chat_template = open_chat_template(*out.checkpoint);
  return out;
}

const Tokenizer& need_tokenizer(const Tokenizer* tokenizer, const std::string& model) {
  require(tokenizer != nullptr, ErrorCode::not_found, "{} has no tokenizer; gale logits --tokens and gale bench work without one",
          model);
  return *tokenizer;
}

}  // namespace gale::cli
