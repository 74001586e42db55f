#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <optional>

#include "base/cpu.h"
#include "base/json.h"
#include "base/parse_json.h"
#include "base/threads.h"
#include "checkpoint/gguf.h"
#include "checkpoint/packed_file.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/fit.h"
#include "cli/options.h"
#include "cli/text.h"
#include "gale/features.h"
#include "models/model.h"
#include "nn/config.h"
#include "nn/weights.h"

namespace gale::cli {
namespace {

// What tells one model of a family from another.
constexpr const char* kConfigKeys[] = {"model_type",
                                       "hidden_size",
                                       "num_hidden_layers",
                                       "num_attention_heads",
                                       "num_key_value_heads",
                                       "head_dim",
                                       "intermediate_size",
                                       "num_experts",
                                       "num_local_experts",
                                       "num_experts_per_tok",
                                       "moe_intermediate_size",
                                       "norm_topk_prob",
                                       "vocab_size",
                                       "max_position_embeddings",
                                       "sliding_window",
                                       "rope_theta",
                                       "rope_scaling",
                                       "tie_word_embeddings"};

struct Flags {
  ModelFlags model;
  bool fit = false, verify = false, json = false;
};

struct TypeSum {
  int64_t tensors = 0, elements = 0, bytes = 0;
};

struct Report {
  std::shared_ptr<const Checkpoint> checkpoint;
  CheckpointSizes sizes;
  std::map<std::string, TypeSum> types;
  std::string tokenizer, quant_method;
  std::string problem;  // why it cannot be run, ""
  std::optional<Fit> fit;
};

std::string tokenizer_kind(const Checkpoint& checkpoint) {
  if (const auto text = checkpoint.tokenizer_json()) {
    const auto wanted = [](int level, std::string_view key) { return key == (level == 1 ? "model" : "type"); };  // no vocab
    try {
      const Json json = parse_json_text(*text, "tokenizer.json", 64, wanted);
      if (!json.is_object()) return "tokenizer.json, malformed";
      const Json model = json.value("model", Json::object());
      const bool stated = model.is_object() && model.contains("type") && model["type"].is_string();
      return stated ? model["type"].get<std::string>() : "of no stated kind";
    } catch (const Error&) {
      return "tokenizer.json, malformed";
    }
  }
  if (checkpoint.gguf() == nullptr) return "";
  const std::string* model = checkpoint.gguf()->text("tokenizer.ggml.model");
  const std::string* pre = checkpoint.gguf()->text("tokenizer.ggml.pre");
  return model == nullptr ? "" : pre == nullptr ? *model : fmt::format("{} ({})", *model, *pre);
}

// What loading says against the weights, with no byte of them read; "" where nothing.
std::string why_not_loaded(const std::shared_ptr<const Checkpoint>& checkpoint, const Arch& arch) {
  try {
    ThreadPool pool(1);
    Loader loader(checkpoint, pool, {.requantize = {}, .shape_only = true, .progress = {}});
    arch.build(Config(checkpoint->config(), checkpoint->config_source()), Weights(loader));
    loader.finish();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// Of tensors of a type; parts of quantized weights are as good as what they belong to.
QuantState state_of(const Report& r, const std::string& type) {
  const QuantState state = quantization_support(type).state;
  return state == QuantState::unknown && !r.quant_method.empty() ? quantization_support(r.quant_method).state : state;
}

std::string why_not(const Report& r) {
  isa_to_run(detect_cpu());  // a wrong GALE_ISA is no fault of the model
  try {
    return why_not_loaded(r.checkpoint, find_architecture(r.checkpoint->architecture()));
  } catch (const Error& e) {
    return e.what();
  }
}

Report look(const Flags& flags) {
  Report r;
  const EngineOptions options = engine_options(flags.model);
  r.checkpoint = open_checkpoint(options.model, options.quant);
  if (flags.verify) verify_packed(*r.checkpoint);
  r.sizes = r.checkpoint->sizes();
  for (const RawTensor& t : r.checkpoint->tensors()) {
    TypeSum& sum = r.types[std::string(tensor_type_info(t.type).name)];
    ++sum.tensors;
    sum.elements += t.elements();
    sum.bytes += t.own_bytes();
  }
  const Json& config = r.checkpoint->config();
  if (const auto it = config.find("quantization_config"); it != config.end() && it->is_object())
    if (const auto method = it->find("quant_method"); method != it->end() && method->is_string())
      r.quant_method = method->get<std::string>();
  r.tokenizer = tokenizer_kind(*r.checkpoint);
  r.problem = why_not(r);
  if (flags.fit && r.problem.empty()) r.fit = measure_fit(options, r.checkpoint);
  return r;
}

const char* container(const Checkpoint& checkpoint) {
  return checkpoint.packed() != nullptr ? "packed" : checkpoint.gguf() != nullptr ? "gguf" : "safetensors";
}

Json packed_json(const PackedInfo& info) {
  Json sources = Json::array(), layouts = Json::array();
  for (const SourceFile& source : info.sources) sources.push_back(source.path.string());
  for (const auto& [name, hash] : info.layouts) layouts.push_back(name);
  return {{"model", info.model}, {"type", info.type}, {"sources", sources}, {"layouts", layouts}};
}

Json config_summary(const Json& config) {
  Json out = Json::object();
  for (const char* key : kConfigKeys)
    if (const auto it = config.find(key); it != config.end() && !it->is_null()) out[key] = *it;
  return out;
}

Json fit_json(const Fit& f) {
  const ModelInfo& info = f.load.info;
  return {{"packed_bytes", info.packed_bytes},
          {"kv_type", info.kv_type},
          {"kv_bytes_per_token", info.kv_bytes_per_token},
          {"kv_bytes", info.kv_bytes},
          {"scratch_bytes", info.scratch_bytes},
          {"step_tokens", f.step_tokens},
          {"available_bytes", f.load.available_bytes},
          {"max_positions", info.max_positions},
          {"context", info.context},
          {"context_that_fits", f.free_context},
          {"problem", f.load.problem}};
}

void print_report_json(const Report& r) {
  Json types = Json::array(), parts = Json::array();
  for (const auto& [name, sum] : r.types)
    types.push_back({{"type", name},
                     {"tensors", sum.tensors},
                     {"elements", sum.elements},
                     {"bytes", sum.bytes},
                     {"support", quant_state_name(state_of(r, name))}});
  for (const auto& p : r.sizes.parts)
    parts.push_back({{"name", p.name},
                     {"tensors", p.tensors},
                     {"parameters", p.parameters},
                     {"bytes", p.bytes},
                     {"expert_bytes", p.expert_bytes}});
  Json out = {{"path", r.checkpoint->path().string()},
              {"container", container(*r.checkpoint)},
              {"architecture", r.checkpoint->architecture()},
              {"runs", r.problem.empty()},
              {"problem", r.problem},
              {"config", config_summary(r.checkpoint->config())},
              {"parameters", r.sizes.parameters},
              {"active_parameters", r.sizes.active_parameters},
              {"bytes", r.sizes.bytes},
              {"tied_head", r.sizes.tied_head},
              {"quantization", r.quant_method},
              {"types", types},
              {"parts", parts},
              {"tokenizer", r.tokenizer},
              {"chat_template", r.checkpoint->chat_template().has_value()}};
  if (const PackedInfo* packed = r.checkpoint->packed()) out["packed"] = packed_json(*packed);
  if (r.fit) out["fit"] = fit_json(*r.fit);
  print_json(out);
}

// Layers of one size become one line.
void print_parts(const CheckpointSizes& sizes) {
  for (size_t i = 0; i < sizes.parts.size();) {
    const auto& p = sizes.parts[i];
    size_t end = i + 1;
    const auto layer = [&](size_t at) { return sizes.parts[at].name.starts_with("layer "); };
    while (layer(i) && end < sizes.parts.size() && layer(end) && sizes.parts[end].bytes == p.bytes &&
           sizes.parts[end].tensors == p.tensors)
      ++end;
    const std::string name = end - i > 1 ? fmt::format("{} to {}", p.name, sizes.parts[end - 1].name.substr(6)) : p.name;
    print(fmt::format("  {:<18} {:>4} tensors {:>14} bytes{}{}\n", name, p.tensors, p.bytes, end - i > 1 ? " each" : "",
                      p.expert_bytes > 0 ? fmt::format(", {} of them experts", p.expert_bytes) : ""));
    i = end;
  }
}

void print_fit(const Fit& f) {
  const ModelInfo& info = f.load.info;
  print(fmt::format(
      "\nMemory\n  weights, packed    {}\n  KV of one token    {} bytes ({})\n  scratch            {} (steps of {} rows)\n  "
      "available          {}\n",
      size_text(info.packed_bytes), info.kv_bytes_per_token, info.kv_type, size_text(info.scratch_bytes), f.step_tokens,
      size_text(f.load.available_bytes)));
  print(f.free_context == 0
            ? "  it does not fit\n"
            : fmt::format("  context            {} tokens fit; the model was made for {}\n", f.free_context, info.max_positions));
  print(f.load.problem.empty()
            ? fmt::format("  opened so          context {}, KV pool {}\n", info.context, size_text(info.kv_bytes))
            : fmt::format("  cannot be opened so: {}\n", f.load.problem));
}

void print_report(const Report& r) {
  print(fmt::format("{}\n  container          {}\n  architecture       {}\n", r.checkpoint->path().string(),
                    container(*r.checkpoint), r.checkpoint->architecture()));
  if (const PackedInfo* packed = r.checkpoint->packed())
    print(fmt::format("  packed from        {}{}\n", packed->model, packed->type.empty() ? "" : " as " + packed->type));
  print(r.problem.empty() ? "  runs               yes\n" : fmt::format("  cannot be run: {}\n", r.problem));
  const std::string active = r.sizes.active_parameters == r.sizes.parameters
                                 ? ""
                                 : fmt::format(", {} of them active for a token", count_text(r.sizes.active_parameters));
  print(fmt::format("  parameters         {} ({}){}\n  bytes              {} ({}){}\n", count_text(r.sizes.parameters),
                    r.sizes.parameters, active, size_text(r.sizes.bytes), r.sizes.bytes,
                    r.sizes.tied_head ? "; the embedding is the head" : ""));
  print(fmt::format("  tokenizer          {}\n  chat template      {}\n", r.tokenizer.empty() ? "none" : r.tokenizer,
                    r.checkpoint->chat_template() ? "yes" : "no"));
  if (!r.quant_method.empty()) print(fmt::format("  quantization       {}\n", r.quant_method));
  print("\nConfig\n");
  const Json config = config_summary(r.checkpoint->config());
  for (const auto& [key, value] : config.items()) print(fmt::format("  {:<24} {}\n", key, value.dump()));
  print("\nTypes\n");
  for (const auto& [name, sum] : r.types)
    print(fmt::format("  {:<10} {:>5} tensors {:>14} bytes   {}\n", name, sum.tensors, sum.bytes,
                      quant_state_name(state_of(r, name))));
  print("\nParts\n");
  print_parts(r.sizes);
  if (r.fit) print_fit(*r.fit);
}

}  // namespace

void add_inspect(CommandLine& line) {
  CLI::App* sub = line.app.add_subcommand("inspect", "What a model is made of, and whether it fits");
  const auto flags = std::make_shared<Flags>();
  sub->add_option("PATH", flags->model.model,
                  "A folder, a .gguf, .safetensors or .gale file, a repository org/name, demo, or random:SHAPE")
      ->required();
  sub->add_flag("--fit", flags->fit, "Predict the memory of a load with the flags below, and the context that fits");
  sub->add_flag("--verify", flags->verify, "Read all of a packed file and of its sources, and compare their hashes");
  add_load_flags(*sub, flags->model);
  sub->add_flag("--json", flags->json, "Print one JSON object");
  sub->callback([&line, flags] {
    line.action = [flags] {
      const Report report = look(*flags);
      flags->json ? print_report_json(report) : print_report(report);
      return 0;
    };
  });
}

}  // namespace gale::cli
