#include "cli/text.h"

#include <filesystem>

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

namespace {

// A folder with a tokenizer or a template and nothing else that could be opened.
bool has_only_text(const std::filesystem::path& path) {
  std::error_code error;
  bool text = false;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    const auto ending = entry.path().extension();
    const auto name = entry.path().filename();
    if (ending == ".safetensors" || ending == ".gguf" || ending == ".gale" || ending == ".uqff") return false;
    text |= name == "tokenizer_config.json" || name == "tokenizer.json" || ending == ".jinja";
  }
  return text;
}

}  // namespace

TextModel open_text(const std::string& model, const std::string& chat_template) {
  TextModel out;
  const LocalModel local = find_model(model, "", ModelFiles::text);
  out.checkpoint =
      local.no_weights || has_only_text(local.path) ? Checkpoint::open_text(local.path) : open_checkpoint(local.path);
  out.tokenizer = open_tokenizer(*out.checkpoint);
  out.chat_template = open_chat_template(*out.checkpoint, chat_template);
  return out;
}

const Tokenizer& need_tokenizer(const Tokenizer* tokenizer, const std::string& model) {
  require(tokenizer != nullptr, ErrorCode::not_found, "{} has no tokenizer; gale logits --tokens and gale bench work without one",
          model);
  return *tokenizer;
}

}  // namespace gale::cli
