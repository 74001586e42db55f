#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/console.h"
#include "gale/engine.h"

namespace gale::cli {

/// One answer.
struct Generation {
  std::string text;
  std::vector<TokenEvent> tokens;
  std::vector<TokenEvent> prompt;  ///< where prompt_logprobs were asked for: all but its first
  std::string stop;                ///< the stop string that ended it, ""
  EndEvent end;
};

/// Runs a request to its end; `on_text` gets the text as it becomes certain. Ends early on Ctrl-C or at a stop string
/// after request.min_tokens; the string is text of the answer where request.include_stop.
/// Throws Error where the engine failed. REQUIRES: the engine has a tokenizer.
Generation generate(Engine& engine, const Request& request, const std::vector<std::string>& stops,
                    const InterruptScope& interrupt, const std::function<void(std::string_view)>& on_text);

/// The prompt and what came of it.
std::vector<int32_t> tokens_of(const Request& request, const Generation& generation);

const char* finish_name(Finish finish);
/// The object that `gale run --json` prints.
Json generation_json(const Engine& engine, const Generation& generation, double load_seconds, const Request& request);
/// Prefill and decode speed on one line, and what became of drafts.
std::string speed_text(const EndEvent& end);

}  // namespace gale::cli
