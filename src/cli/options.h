#pragma once
#include <string>
#include <vector>

#include "gale/engine.h"

namespace CLI {
class App;
}

namespace gale::cli {

/// The flags of every subcommand that opens a model.
struct ModelFlags {
  std::string model;
  int threads = 0;
  std::string quant, topology, imatrix, calibrate, precision = "default", kv_type, chat_template;
  bool quant_experts = false, no_prefix_cache = false;
  int64_t context = 0, batch_tokens = 512, kv_block = 64;
  std::string spec_type, draft_model;
  int32_t draft_max = 16, draft_min = 0;
  std::string prefix_store;
  int64_t prefix_store_size = EngineOptions().prefix_store_bytes;
};
/// -m and those of add_load_flags. `fallback`: the model where none is named; "" makes -m a must.
void add_model_flags(CLI::App& app, ModelFlags& flags, const std::string& fallback = "");
/// How the model is opened: threads, --quant and what goes with it, --precision, --kv-type, --kv-block, --ctx, --batch-tokens.
void add_load_flags(CLI::App& app, ModelFlags& flags);
/// Where what was computed for texts outlives the process: --prefix-store, --prefix-store-size.
void add_store_flags(CLI::App& app, ModelFlags& flags);
/// How tokens are guessed ahead: --spec-type, --draft-max, --draft-min.
void add_draft_flags(CLI::App& app, ModelFlags& flags);
/// --topology, --imatrix, --calibrate and --quant-experts: what goes with a type, which the flag `type` names.
void add_recipe_flags(CLI::App& app, std::string& topology, std::string& imatrix, std::string& calibrate, bool& experts_only,
                      const std::string& type);
/// Forgets what variables alone say of how weights are quantized, where nothing is: it waits for a command that quantizes.
void forget_idle_variables(std::string& imatrix, std::string& calibrate, bool& experts_only, const std::string& type,
                           const std::string& topology);
/// Downloads the model where it is a repository, with a bar.
/// Throws UsageError where a text is given for weights that no text can run through.
void check_calibration(const std::string& model, const std::string& text);
EngineOptions engine_options(const ModelFlags& flags);

/// The flags of every subcommand that generates text.
struct SamplingFlags {
  SamplingParams params;
  std::vector<std::string> logit_bias;       ///< "ID=VALUE"
  std::vector<std::string> logit_bias_text;  ///< "TEXT=VALUE"
  std::vector<std::string> dry_breakers;     ///< in the place of the usual ones; "none": none
  std::vector<std::string> stops;
  std::vector<int32_t> stop_ids;
  int64_t max_tokens = 256, min_tokens = 0;
  int32_t prompt_logprobs = -1;
  std::string overflow = "error";
  int64_t keep = 0;
  int32_t beams = 0;
  float length_penalty = 1;
  bool ignore_eos = false, include_stop = false;
};
void add_sampling_flags(CLI::App& app, SamplingFlags& flags);
/// A request with everything but the prompt. Throws UsageError.
Request make_request(const SamplingFlags& flags);

/// What is wrong with a type for --quant or --type, "" where nothing is.
std::string check_quant(const std::string& text);

/// The types that --quant and --type take, by commas.
std::string quant_names();

/// "1,2,3" or "1 2 3". Throws UsageError naming what is not a number.
std::vector<int32_t> parse_tokens(const std::string& text);

/// Opens an engine with a progress bar, and with a suggestion where the path does not exist.
std::unique_ptr<Engine> open_engine(const EngineOptions& options);

}  // namespace gale::cli
