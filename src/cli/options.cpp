#include "cli/options.h"

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <charconv>

#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "engine/weight_plan.h"
#include "gale/features.h"

namespace gale::cli {
namespace {

template <class Number>
bool read_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

// CLI11's own messages for ranges do not name what would be right.
template <class Number>
CLI::Validator in_range(Number lowest, Number highest, const char* wanted) {
  return CLI::Validator(
      [=](std::string& text) {
        Number n{};
        return read_number(text, n) && n >= lowest && n <= highest
                   ? std::string()
                   : fmt::format("{} will not do, give a number {}", text, wanted);
      },
      "");
}

std::pair<int32_t, float> parse_bias(const std::string& text) {
  std::pair<int32_t, float> out;
  const size_t equals = text.find('=');
  if (equals == std::string::npos || !read_number(std::string_view(text).substr(0, equals), out.first) ||
      !read_number(std::string_view(text).substr(equals + 1), out.second))
    throw UsageError(fmt::format("--logit-bias: \"{}\" is not ID=VALUE, such as 15=-100", text));
  return out;
}

}  // namespace

std::string check_quant(const std::string& text) {
  try {
    QuantRecipe(text).check();
    return "";
  } catch (const Error& e) {
    const QuantSupport q = quantization_support(text);
    return q.state == QuantState::unknown
               ? e.what()
               : fmt::format("{} is a format that Gale knows of and does not make: {}", q.name, e.what());
  }
}

std::string quant_names() { return fmt::format("{}", fmt::join(QuantPolicy::names(), ", ")); }

void add_model_flags(CLI::App& app, ModelFlags& flags, const std::string& fallback) {
  flags.model = fallback;
  CLI::Option* model = app.add_option(
      "-m,--model", flags.model,
      "A folder, a .gguf, .safetensors or .gale file, a repository org/name[:TYPE][@REVISION], demo, or random:SHAPE");
  if (fallback.empty())
    model->required();
  else
    model->capture_default_str();
  add_load_flags(app, flags);
}

void add_recipe_flags(CLI::App& app, std::string& topology, std::string& imatrix, std::string& calibrate, bool& experts_only,
                      const std::string& type) {
  app.add_option("--topology", topology, "A YAML file that gives types to layers, ranges of layers or /names/")
      ->check(CLI::ExistingFile);
  app.add_option("--imatrix", imatrix, "An importance matrix that weighs the errors of " + type + ": .gguf, .dat, .cimatrix")
      ->check(CLI::ExistingFile);
  app.add_option("--calibrate", calibrate, "A text that gptq2 to gptq8 are calibrated by; a small one is built in")
      ->check(CLI::ExistingFile);
  app.add_flag("--quant-experts", experts_only, "Only the experts of a mixture get the type of " + type);
}

void add_load_flags(CLI::App& app, ModelFlags& flags) {
  app.add_option("-t,--threads", flags.threads, "Compute threads; 0: the cores this process may use")
      ->check(in_range(0, 1024, "from 0 to 1024"));
  app.add_option("--quant", flags.quant,
                 "Quantize while loading: " + quant_names() +
                     ", or 2 to 6 or 8 bits, or auto: what fits this machine; the type of random weights")
      ->check(check_quant);
  add_recipe_flags(app, flags.topology, flags.imatrix, flags.calibrate, flags.quant_experts, "--quant");
  app.add_option("--precision", flags.precision, "default, or exact: f32 throughout")
      ->check(CLI::IsMember({"default", "exact"}))
      ->capture_default_str();
  app.add_option("--kv-type", flags.kv_type, "Keys and values as f32, f16, bf16 or q8_0")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0"}));
  app.add_option("--ctx", flags.context, "Tokens of context; 0: what the model was made for, less where memory is short")
      ->check(in_range(int64_t(0), int64_t(1) << 30, "from 0 to 2^30"));
  app.add_option("--batch-tokens", flags.batch_tokens, "Rows of one step at most: the pieces in which prompts are read")
      ->check(in_range(int64_t(1), int64_t(1) << 20, "from 1 to 2^20"))
      ->capture_default_str();
}

EngineOptions engine_options(const ModelFlags& flags) {
  EngineOptions out;
  const LocalModel local = find_model(flags.model, flags.quant, ModelFiles::all);
  out.model = local.path;
  out.threads = flags.threads;
  out.quant = local.quant;
  out.topology = flags.topology;
  const bool chosen = local.quant.empty() && !flags.quant.empty();  // a file that has the type already: nothing is quantized
  out.imatrix = chosen ? "" : flags.imatrix;
  out.calibrate = chosen ? "" : flags.calibrate;
  out.quant_experts = flags.quant_experts && !chosen;
  out.exact = flags.precision == "exact";
  out.kv_type = flags.kv_type;
  out.context = flags.context;
  out.step_tokens = flags.batch_tokens;
  out.chat_template = flags.chat_template;
  return out;
}

void add_sampling_flags(CLI::App& app, SamplingFlags& flags) {
  SamplingParams& p = flags.params;
  app.add_option("-n,--max-tokens", flags.max_tokens, "Tokens to generate at most; -1: until the context is full")
      ->check(in_range(int64_t(-1), int64_t(1) << 30, "from -1 to 2^30"))
      ->capture_default_str();
  app.add_option("--temp", p.temperature, "Temperature; 0 takes the most likely token")
      ->check(in_range(0.f, 100.f, "from 0 to 100"))
      ->capture_default_str();
  app.add_option("--top-k", p.top_k, "Keep the K most likely tokens; 0: all")
      ->check(in_range(0, INT32_MAX, "0 or more"))
      ->capture_default_str();
  app.add_option("--top-p", p.top_p, "Keep the most likely tokens that together reach P")
      ->check(in_range(1e-9f, 1.f, "above 0 and at most 1"))
      ->capture_default_str();
  app.add_option("--min-p", p.min_p, "Drop tokens below P times the most likely one's probability")
      ->check(in_range(0.f, 0.999999f, "0 or more and below 1"))
      ->capture_default_str();
  app.add_option("--repeat-penalty", p.repetition_penalty, "Divide the logits of tokens seen")
      ->check(in_range(1e-6f, 1e6f, "above 0"))
      ->capture_default_str();
  app.add_option("--frequency-penalty", p.frequency_penalty, "Subtract per occurrence in the answer")
      ->check(in_range(-2.f, 2.f, "from -2 to 2"))
      ->capture_default_str();
  app.add_option("--presence-penalty", p.presence_penalty, "Subtract once for tokens in the answer")
      ->check(in_range(-2.f, 2.f, "from -2 to 2"))
      ->capture_default_str();
  app.add_option("--logit-bias", flags.logit_bias, "ID=VALUE, added to a token's logit (again for more)")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--seed", p.seed, "The same seed gives the same text")
      ->check(in_range(uint64_t(0), UINT64_MAX, "from 0 to 2^64 - 1"))
      ->capture_default_str();
  app.add_option("--stop", flags.stops, "End before this text (again for more)")->allow_extra_args(false);
  app.add_option("--stop-id", flags.stop_ids, "End at this token (again for more)")->delimiter(',')->allow_extra_args(false);
  app.add_flag("--ignore-eos", flags.ignore_eos, "Go on past the model's end tokens");
  app.add_option("--logprobs", p.logprobs, "With --json: log-probabilities of the chosen and the N most likely tokens")
      ->check(in_range(0, 20, "from 0 to 20"));
}

Request make_request(const SamplingFlags& flags) {
  Request out;
  out.sampling = flags.params;
  for (const std::string& bias : flags.logit_bias) out.sampling.logit_bias.push_back(parse_bias(bias));
  out.max_tokens = flags.max_tokens;
  out.stop_ids = flags.stop_ids;
  out.ignore_eos = flags.ignore_eos;
  return out;
}

std::vector<int32_t> parse_tokens(const std::string& text) {
  constexpr std::string_view kBetween = ", \t\n";
  std::vector<int32_t> out;
  for (size_t at = text.find_first_not_of(kBetween); at != std::string::npos;) {
    const size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    int32_t id = 0;
    if (!read_number(std::string_view(text).substr(at, end - at), id) || id < 0)
      throw UsageError(fmt::format("\"{}\" is not a token id; give numbers such as 1,2,3", text.substr(at, end - at)));
    out.push_back(id);
    at = text.find_first_not_of(kBetween, end);
  }
  if (out.empty()) throw UsageError("no token ids; give numbers such as 1,2,3");
  return out;
}

std::unique_ptr<Engine> open_engine(const EngineOptions& options) {
  EngineOptions with_bar = options;
  Progress bar("loading");
  with_bar.progress = [&bar](int64_t done, int64_t total) { bar.update(done, total); };
  return with_suggestion(options.model, [&] { return Engine::open(with_bar); });
}

}  // namespace gale::cli
