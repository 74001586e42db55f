#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "base/json_fwd.h"
#include "chat/chat_template.h"
#include "checkpoint/checkpoint.h"
#include "cli/suggest.h"
#include "engine/model_source.h"
#include "gale/error.h"
#include "tokenizer/tokenizer.h"

namespace gale::cli {

/// Runs `open`; where it says that `path` is not there, the error also names a neighbour that is.
template <class Open>
auto with_suggestion(const std::string& path, Open&& open) {
  try {
    return open();
  } catch (const Error& e) {
    std::error_code ignored;
    if (e.code() != ErrorCode::not_found || std::filesystem::exists(path, ignored)) throw;
    const std::string near = nearest_path(path);
    if (near.empty()) throw;
    throw Error(e.code(), std::string(e.what()) + "; did you mean " + near + "?");
  }
}

/// The text side of a model, opened without its weights: what tokenize, template and inspect need.
struct TextModel {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Tokenizer> tokenizer;         ///< nullptr where the model has none
  std::unique_ptr<ChatTemplate> chat_template;  ///< the same
};

/// What MODEL stands for here, after a download with a bar where it is a repository. Throws Error with a suggestion for a path
/// that is not there.
LocalModel find_model(const std::string& model, std::string_view quant, ModelFiles files);
/// MODEL of the command line, "demo" included, as a checkpoint; random weights in the type `random_type`. Throws Error with a
/// suggestion for a path that is not there.
std::shared_ptr<const Checkpoint> open_checkpoint(const std::string& model, std::string_view random_type = "");
/// `chat_template`: a file to take the template from, instead of the model.
TextModel open_text(const std::string& model, const std::string& chat_template = "");
/// The tokenizer, or Error naming what could be used instead.
const Tokenizer& need_tokenizer(const Tokenizer* tokenizer, const std::string& model);

}  // namespace gale::cli
