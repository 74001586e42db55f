#include "cli/options.h"

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>

#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "engine/drafting.h"
#include "engine/model_source.h"
#include "engine/weight_plan.h"
#include "gale/features.h"
#include "kvcache/kv_format.h"
#include "sampling/sampler.h"

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

/// "WHAT=VALUE", cut at the last '=': a text may have some of its own.
std::pair<std::string, float> parse_bias(const char* flag, const std::string& text) {
  const size_t equals = text.rfind('=');
  float value = 0;
  if (equals == std::string::npos || equals == 0 || !read_number(std::string_view(text).substr(equals + 1), value))
    throw UsageError(fmt::format("{}: \"{}\" has no =VALUE, such as =-100", flag, text));
  return {text.substr(0, equals), value};
}

std::pair<int32_t, float> parse_id_bias(const std::string& text) {
  const auto [what, value] = parse_bias("--logit-bias", text);
  int32_t id = 0;
  if (!read_number(std::string_view(what), id))
    throw UsageError(fmt::format("--logit-bias: \"{}\" is not ID=VALUE, such as 15=-100; --logit-bias-text takes texts", text));
  return {id, value};
}

template <class Number>
CLI::Option* add_number(CLI::App& app, const char* name, Number& out, const char* help, Number lowest, Number highest,
                        const char* wanted) {
  return app.add_option(name, out, help)->check(in_range(lowest, highest, wanted))->capture_default_str();
}

constexpr float kAnyFloat = 3.4e38f;
constexpr int32_t kAnyInt = INT32_MAX;

void add_token_flags(CLI::App& app, SamplingFlags& flags) {
  SamplingParams& p = flags.params;
  app.add_option("--logit-bias", flags.logit_bias, "ID=VALUE, added to a token's logit (again for more)")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--logit-bias-text", flags.logit_bias_text,
                 "TEXT=VALUE, for every token that the text is made of (again for more)")
      ->allow_extra_args(false);
  app.add_option("--ban-id", p.banned_ids, "Never choose this token (again for more)")->delimiter(',')->allow_extra_args(false);
  app.add_option("--allow-id", p.allowed_ids, "Choose nothing but this token (again for more)")
      ->delimiter(',')
      ->allow_extra_args(false);
}

void add_repetition_flags(CLI::App& app, SamplingFlags& flags) {
  SamplingParams& p = flags.params;
  add_number(app, "--repeat-penalty", p.repetition_penalty, "Divide the logits of tokens seen", 1e-6f, 1e6f, "above 0");
  add_number(app, "--frequency-penalty", p.frequency_penalty, "Subtract per occurrence in the answer", -2.f, 2.f, "from -2 to 2");
  add_number(app, "--presence-penalty", p.presence_penalty, "Subtract once for tokens in the answer", -2.f, 2.f, "from -2 to 2");
  add_number(app, "--penalty-last-n", p.penalty_last_n, "The three above look at so many last tokens; -1: all", -1, kAnyInt,
             "-1 or more");
  add_number(app, "--no-repeat-ngram", p.no_repeat_ngram, "No run of N tokens comes twice; 0: off", 0, kAnyInt, "0 or more");
  add_number(app, "--dry-multiplier", p.dry_multiplier, "DRY: how strongly long repeats are kept from growing; 0: off", 0.f,
             kAnyFloat, "0 or more");
  add_number(app, "--dry-base", p.dry_base, "DRY: the penalty grows by this factor a token", 1.f, kAnyFloat, "1 or more");
  add_number(app, "--dry-allowed-length", p.dry_allowed_length, "DRY: repeats of fewer tokens are free", 1, kAnyInt, "1 or more");
  add_number(app, "--dry-last-n", p.dry_last_n, "DRY looks at so many last tokens; -1: all", -1, kAnyInt, "-1 or more");
  app.add_option(
         "--dry-sequence-breaker", flags.dry_breakers,
         "DRY: a text that no repeat goes over (again for more), instead of newline, colon, quote and star; none: no text")
      ->allow_extra_args(false);
}

void add_temperature_flags(CLI::App& app, SamplingParams& p) {
  add_number(app, "--temp", p.temperature, "Temperature; 0 takes the most likely token", 0.f, 100.f, "from 0 to 100");
  add_number(app, "--dynamic-temp-range", p.dynamic_temperature_range,
             "Temperature by entropy: from --temp less this to --temp and this; 0: off", 0.f, 100.f, "from 0 to --temp");
  add_number(app, "--dynamic-temp-exponent", p.dynamic_temperature_exponent, "The power of the entropy in it", 1e-6f, 1e6f,
             "above 0");
}

void add_narrowing_flags(CLI::App& app, SamplingParams& p) {
  add_number(app, "--top-k", p.top_k, "Keep the K most likely tokens; 0: all", 0, kAnyInt, "0 or more");
  add_number(app, "--top-p", p.top_p, "Keep the most likely tokens that together reach P", 1e-9f, 1.f, "above 0 and at most 1");
  add_number(app, "--min-p", p.min_p, "Drop tokens below P times the most likely one's probability", 0.f, 0.999999f,
             "0 or more and below 1");
  add_number(app, "--typical-p", p.typical_p, "Keep the most typical tokens that together reach P", 1e-9f, 1.f,
             "above 0 and at most 1");
  add_number(app, "--top-a", p.top_a, "Drop tokens below A times the square of the most likely one's probability; 0: off", 0.f,
             1.f, "from 0 to 1");
  add_number(app, "--tail-free", p.tail_free, "Cut the tail where the curve has bent by this share; 1: off", 1e-9f, 1.f,
             "above 0 and at most 1");
  add_number(app, "--top-n-sigma", p.top_n_sigma, "Drop logits more than N standard deviations below the largest; 0: off", 0.f,
             kAnyFloat, "0 or more");
  add_number(app, "--epsilon-cutoff", p.epsilon_cutoff, "Drop tokens below this probability; 0: off", 0.f, 0.999999f,
             "0 or more and below 1");
  add_number(app, "--eta-cutoff", p.eta_cutoff, "The same, lower where the entropy is high; 0: off", 0.f, 0.999999f,
             "0 or more and below 1");
  add_number(app, "--xtc-probability", p.xtc_probability, "XTC: how often all likely tokens but the last are dropped; 0: off",
             0.f, 1.f, "from 0 to 1");
  add_number(app, "--xtc-threshold", p.xtc_threshold, "XTC: from what probability a token is likely", 1e-9f, 0.5f,
             "above 0 and at most 0.5");
}

void add_choice_flags(CLI::App& app, SamplingFlags& flags) {
  SamplingParams& p = flags.params;
  add_number(app, "--mirostat", p.mirostat, "1 or 2: keep the surprise of the text even; 0: off", 0, 2, "0, 1 or 2");
  add_number(app, "--mirostat-tau", p.mirostat_tau, "Mirostat: the surprise wanted, in bits", 1e-6f, 1e6f, "above 0");
  add_number(app, "--mirostat-eta", p.mirostat_eta, "Mirostat: how fast it learns", 1e-6f, 1.f, "above 0 and at most 1");
  add_number(app, "--seed", p.seed, "The same seed gives the same text", uint64_t(0), UINT64_MAX, "from 0 to 2^64 - 1");
  add_number(app, "--beams", flags.beams,
             "Follow so many texts at once and answer with the best when all are done; 0: write one, token by token", 0, 128,
             "from 0 to 128");
  add_number(app, "--length-penalty", flags.length_penalty,
             "With --beams: a text's score is its log-probability over its length to this power", -100.f, 100.f,
             "from -100 to 100");
  app.add_option("--order", p.order,
                 "The stages that are used, in the order wanted: " + fmt::format("{}", fmt::join(sampling_stages(), ",")))
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember(sampling_stages()));
}

void add_end_flags(CLI::App& app, SamplingFlags& flags) {
  app.add_option("--stop", flags.stops, "End before this text (again for more)")->allow_extra_args(false);
  app.add_option("--stop-id", flags.stop_ids, "End at this token (again for more)")->delimiter(',')->allow_extra_args(false);
  app.add_flag("--include-stop", flags.include_stop, "Give out the text or token that ended the answer too");
  app.add_flag("--ignore-eos", flags.ignore_eos, "Go on past the model's end tokens");
}

}  // namespace

std::string check_quant(const std::string& text) {
  try {
    QuantRecipe(text).read();
    return "";
  } catch (const Error& e) {
    const QuantSupport q = quantization_support(text);
    if (q.state == QuantState::unknown) return e.what();
    if (q.can_write) return fmt::format("did you mean {}? {}", q.name, e.what());  // a name that others have for it
    return fmt::format("{} is a format that Gale knows of and does not make: {}", q.name, e.what());
  }
}

std::string check_kv_type(const std::string& text) {
  try {
    choose_kv_format(text, false);
    return "";
  } catch (const Error& e) {
    return e.what();
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
  app.add_option(
      "--quant", flags.quant,
      "Quantize while loading: " + quant_names() +
          ", or 2 to 6 or 8 bits, or auto: what fits this machine; the type of random weights; of a repository any type "
          "that it has a .gguf of");
  add_recipe_flags(app, flags.topology, flags.imatrix, flags.calibrate, flags.quant_experts, "--quant");
  app.add_option("--precision", flags.precision, "default, or exact: f32 throughout")
      ->check(CLI::IsMember({"default", "exact"}))
      ->capture_default_str();
  app.add_option("--kv-type", flags.kv_type,
                 "Keys and values as f32, f16, bf16, fp8, q8_0 or q4_0, or each as its own: q8_0/q4_0")
      ->check(check_kv_type);
  app.add_option("--kv-block", flags.kv_block, "Tokens of a block of keys and values, which texts share whole")
      ->check([](const std::string& text) {
        return text == "16" || text == "32" || text == "64" ? "" : fmt::format("{} is none of 16, 32 and 64", text);
      })
      ->capture_default_str();
  app.add_option("--ctx", flags.context, "Tokens of context; 0: what the model was made for, less where memory is short")
      ->check(in_range(int64_t(0), int64_t(1) << 30, "from 0 to 2^30"));
  app.add_option("--batch-tokens", flags.batch_tokens, "Rows of one step at most: the pieces in which prompts are read")
      ->check(in_range(int64_t(1), int64_t(1) << 20, "from 1 to 2^20"))
      ->capture_default_str();
  app.add_flag("--no-prefix-cache", flags.no_prefix_cache,
               "Compute every prompt anew, also where it begins as an earlier text did");
}

void add_store_flags(CLI::App& app, ModelFlags& flags) {
  app.add_option("--prefix-store", flags.prefix_store,
                 "A folder that keeps what was computed for texts: another start, or another process, goes on from there");
  app.add_option("--prefix-store-size", flags.prefix_store_size,
                 "Bytes that it may take of the disk, as 500M or 8G; what was unused for longest goes")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("8G");
}

void add_draft_flags(CLI::App& app, ModelFlags& flags) {
  app.add_option("--spec-type", flags.spec_type,
                 "Guess tokens ahead, the answer stays the same: ngram takes what came next where the text quotes itself, model "
                 "what --draft-model writes (so where that is given)")
      ->check(CLI::IsMember({"none", "ngram", "model"}));
  app.add_option("--draft-model", flags.draft_model, "A smaller model to guess with, named as MODEL; best of the same family");
  add_number(app, "--draft-max", flags.draft_max, "Tokens guessed at once at most; how many are worth it is learned", 1,
             kMostDrafted, "from 1 to 128");
  add_number(app, "--draft-min", flags.draft_min, "And at least, also where they do not pay", 0, kMostDrafted,
             "from 0 to --draft-max");
}

void check_calibration(const std::string& model, const std::string& text) {
  if (!text.empty() && is_random_model(model))
    throw UsageError(fmt::format(
        "--calibrate {}: {} has random weights and no words; leave it out, and they are rounded to nearest", text, model));
}

// A repository may have a .gguf of a type that nobody makes here.
void check_quant_of(const std::string& model, const std::string& quant) {
  if (quant.empty() || is_repository(model)) return;
  if (const std::string problem = check_quant(quant); !problem.empty()) throw UsageError("--quant: " + problem);
}

void forget_idle_variables(std::string& imatrix, std::string& calibrate, bool& experts_only, const std::string& type,
                           const std::string& topology) {
  const auto from = [](const std::string& value, const char* variable) {
    const char* set = std::getenv(variable);
    return set != nullptr && value == set;
  };
  if (type.empty() && topology.empty() && from(imatrix, "GALE_IMATRIX")) imatrix.clear();
  if (type.empty() && topology.empty() && from(calibrate, "GALE_CALIBRATE")) calibrate.clear();
  if (type.empty() && std::getenv("GALE_QUANT_EXPERTS") != nullptr) experts_only = false;
}

EngineOptions engine_options(const ModelFlags& flags) {
  check_quant_of(flags.model, flags.quant);
  std::string imatrix = flags.imatrix, calibrate = flags.calibrate;
  bool experts_only = flags.quant_experts;
  forget_idle_variables(imatrix, calibrate, experts_only, flags.quant, flags.topology);
  check_calibration(flags.model, calibrate);
  EngineOptions out;
  const LocalModel local = find_model(flags.model, flags.quant, ModelFiles::all);
  out.model = local.path;
  out.threads = flags.threads;
  out.quant = local.quant;
  out.topology = flags.topology;
  const bool chosen = local.quant.empty() && !flags.quant.empty();  // a file that has the type already: nothing is quantized
  out.imatrix = chosen ? "" : imatrix;
  out.calibrate = chosen ? "" : calibrate;
  out.quant_experts = experts_only && !chosen;
  out.exact = flags.precision == "exact";
  out.kv_type = flags.kv_type;
  out.kv_block = flags.kv_block;
  out.context = flags.context;
  out.step_tokens = flags.batch_tokens;
  out.chat_template = flags.chat_template;
  out.prefix_cache = !flags.no_prefix_cache;
  if (!flags.prefix_store.empty() && flags.no_prefix_cache)
    throw UsageError("--prefix-store keeps what --no-prefix-cache does not: leave one of them out");
  out.prefix_store = flags.prefix_store;
  out.prefix_store_bytes = flags.prefix_store_size;
  out.draft = flags.spec_type;
  if (out.draft == "model" && flags.draft_model.empty())
    throw UsageError("--spec-type model needs --draft-model, the smaller model that guesses");
  if (!flags.draft_model.empty() && (out.draft.empty() || out.draft == "model"))
    out.draft_model = find_model(flags.draft_model, "", ModelFiles::all).path;
  out.draft_max = flags.draft_max;
  out.draft_min = flags.draft_min;
  if (out.draft_min > out.draft_max)
    throw UsageError(
        fmt::format("--draft-min is {}, but at most {} tokens are guessed (--draft-max)", out.draft_min, out.draft_max));
  return out;
}

void add_sampling_flags(CLI::App& app, SamplingFlags& flags) {
  SamplingParams& p = flags.params;
  add_number(app, "-n,--max-tokens", flags.max_tokens, "Tokens to generate at most; -1: until the context is full", int64_t(-1),
             int64_t(1) << 30, "from -1 to 2^30");
  add_number(app, "--min-tokens", flags.min_tokens, "Nothing ends the answer before so many tokens", int64_t(0), int64_t(1) << 30,
             "from 0 to 2^30");
  app.add_option("--overflow", flags.overflow,
                 "A text longer than the context ends (error), loses its oldest tokens (slide) or some of its middle and goes on")
      ->check(CLI::IsMember({"error", "slide", "middle"}))
      ->capture_default_str();
  add_number(app, "--keep", flags.keep, "With --overflow: tokens at the beginning that stay", int64_t(0), int64_t(1) << 30,
             "from 0 to half of the context");
  add_temperature_flags(app, p);
  add_narrowing_flags(app, p);
  add_repetition_flags(app, flags);
  add_token_flags(app, flags);
  add_choice_flags(app, flags);
  add_end_flags(app, flags);
  app.add_option("--logprobs", p.logprobs, "With --json: log-probabilities of the chosen and the N most likely tokens")
      ->check(in_range(0, 20, "from 0 to 20"));
  app.add_option("--prompt-logprobs", flags.prompt_logprobs, "With --json: the same for the tokens of the prompt")
      ->check(in_range(0, 20, "from 0 to 20"));
}

Request make_request(const SamplingFlags& flags) {
  Request out;
  out.sampling = flags.params;
  for (const std::string& bias : flags.logit_bias) out.sampling.logit_bias.push_back(parse_id_bias(bias));
  for (const std::string& bias : flags.logit_bias_text)
    out.sampling.logit_bias_text.push_back(parse_bias("--logit-bias-text", bias));
  if (!flags.dry_breakers.empty()) out.sampling.dry_sequence_breakers = flags.dry_breakers;
  if (flags.dry_breakers == std::vector<std::string>{"none"}) out.sampling.dry_sequence_breakers.clear();
  out.max_tokens = flags.max_tokens;
  out.min_tokens = flags.min_tokens;
  out.overflow = flags.overflow == "slide" ? Overflow::slide : flags.overflow == "middle" ? Overflow::middle : Overflow::error;
  out.keep = flags.keep;
  out.beams = flags.beams;
  out.length_penalty = flags.length_penalty;
  out.stop_ids = flags.stop_ids;
  out.ignore_eos = flags.ignore_eos;
  out.include_stop = flags.include_stop;
  out.prompt_logprobs = flags.prompt_logprobs;
  try {  // what needs no model to be seen as wrong
    check_sampling(out.sampling, INT32_MAX);
  } catch (const Error& e) {
    throw UsageError(e.what());
  }
  if (out.beams > 0 && out.sampling.temperature != 0)
    throw UsageError(fmt::format("--beams draws nothing, but --temp is {}: leave one of them out", out.sampling.temperature));
  if (out.max_tokens >= 0 && out.min_tokens > out.max_tokens)
    throw UsageError(fmt::format("--min-tokens is {}, but only {} tokens may come (-n)", out.min_tokens, out.max_tokens));
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
