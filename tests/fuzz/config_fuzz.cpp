// Any bytes as the config.json of a tiny model: an Error, or a model that is sized, loads and makes a step.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_names.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/json_file.h"
#include "gale/error.h"
#include "models/model.h"

namespace gale {
namespace {

constexpr int64_t kHidden = 8, kIntermediate = 12, kQ = 12, kKv = 6, kHead = 6, kVocab = 10;  // as in testdata/make_seeds.py

/// Two layers with every tensor that a family may have.
std::vector<RawTensor> tiny_tensors() {
  static const std::vector<float> values = [] {
    std::vector<float> out(256);
    for (size_t i = 0; i < out.size(); ++i) out[i] = float(int(i * 37 % 64) - 31) / 32;
    return out;
  }();
  std::vector<RawTensor> out;
  const auto add = [&](std::string name, Shape shape) {
    RawTensor t;
    t.source = "fuzz: " + name;
    t.name = std::move(name);
    t.shape = shape;
    t.bytes = std::as_bytes(std::span(values)).first(size_t(shape.elements()) * sizeof(float));
    out.push_back(std::move(t));
  };
  add("model.embed_tokens.weight", {kVocab, kHidden});
  add("lm_head.weight", {kVocab, kHidden});
  add("model.norm.weight", {kHidden});
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    add(layer + "input_layernorm.weight", {kHidden});
    add(layer + "post_attention_layernorm.weight", {kHidden});
    add(layer + "self_attn.q_proj.weight", {kQ, kHidden});
    add(layer + "self_attn.k_proj.weight", {kKv, kHidden});
    add(layer + "self_attn.v_proj.weight", {kKv, kHidden});
    add(layer + "self_attn.o_proj.weight", {kHidden, kQ});
    add(layer + "self_attn.q_proj.bias", {kQ});
    add(layer + "self_attn.k_norm.weight", {kHead});
    add(layer + "mlp.gate_proj.weight", {kIntermediate, kHidden});
    add(layer + "mlp.up_proj.weight", {kIntermediate, kHidden});
    add(layer + "mlp.down_proj.weight", {kHidden, kIntermediate});
  }
  return out;
}

std::unique_ptr<Model> build(const std::shared_ptr<const Checkpoint>& checkpoint, ThreadPool& pool, bool shape_only) {
  Loader loader(checkpoint, pool, {.requantize = {}, .shape_only = shape_only, .progress = {}});
  auto model = find_architecture(checkpoint->architecture())
                   .build(Config(checkpoint->config(), checkpoint->config_source()), Weights(loader));
  loader.finish();
  return model;
}

void step(const Model& model, ThreadPool& pool, Arena& arena) {
  KvCache kv(model.cache_layers(), KvType::f16, 1, arena.is_measuring());
  const TrackId track = kv.open();
  const std::vector<int32_t> ids = {1, 2, 9, 0, 5};
  if (!arena.is_measuring() && !kv.reserve(track, int64_t(ids.size()))) std::abort();
  Ctx ctx{arena, pool, cpu_kernels(detect_cpu().isas.back()), Precision::standard};
  Batch batch;
  batch.add_causal(track, ids.data(), int32_t(ids.size()), 0);
  batch.wanted = {4};
  if (model.head(ctx, model.hidden(ctx, batch, kv)).dim(1) != model.vocab()) std::abort();
}

void run(std::string_view text) {
  Json config = parse_json(text, "fuzz.json");
  const auto checkpoint = Checkpoint::assemble("fuzz.json", config, tiny_tensors());
  config = checkpoint->config();
  normalize_config(config, "fuzz.json");
  if (config != checkpoint->config()) std::abort();  // normalizing twice changes nothing
  try {
    static_cast<void>(gguf_target(*checkpoint));
  } catch (const Error&) {
  }
  static ThreadPool pool(1);
  const auto sized = build(checkpoint, pool, true);
  Arena measuring = Arena::measuring();
  step(*sized, pool, measuring);
  Arena arena(measuring.peak());
  step(*build(checkpoint, pool, false), pool, arena);
}

}  // namespace
}  // namespace gale

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    gale::run({reinterpret_cast<const char*>(data), size});
  } catch (const gale::Error&) {
  }
  return 0;
}
