#include "engine/random_model.h"

#include <algorithm>
#include <cctype>

#include "base/cpu_budget.h"
#include "base/fail.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/threads.h"
#include "engine/weight_plan.h"
#include "tensor/storage.h"

namespace gale {
namespace {

// From the config.json files that the makers publish, but for the two that say otherwise.
constexpr RandomShape kShapes[] = {
    {.name = "llama-3.2-1b",
     .architecture = "LlamaForCausalLM",
     .hidden = 2048,
     .layers = 16,
     .heads = 32,
     .kv_heads = 8,
     .head_dim = 64,
     .intermediate = 8192,
     .vocab = 128256,
     .positions = 131072,
     .rope_theta = 500000,
     .llama3_factor = 32,
     .tied = true},
    {.name = "llama-3.2-3b",
     .architecture = "LlamaForCausalLM",
     .hidden = 3072,
     .layers = 28,
     .heads = 24,
     .kv_heads = 8,
     .head_dim = 128,
     .intermediate = 8192,
     .vocab = 128256,
     .positions = 131072,
     .rope_theta = 500000,
     .llama3_factor = 32,
     .tied = true},
    {.name = "llama-3.1-8b",
     .architecture = "LlamaForCausalLM",
     .hidden = 4096,
     .layers = 32,
     .heads = 32,
     .kv_heads = 8,
     .head_dim = 128,
     .intermediate = 14336,
     .vocab = 128256,
     .positions = 131072,
     .rope_theta = 500000,
     .llama3_factor = 8},
    {.name = "qwen2.5-0.5b",
     .architecture = "Qwen2ForCausalLM",
     .hidden = 896,
     .layers = 24,
     .heads = 14,
     .kv_heads = 2,
     .head_dim = 64,
     .intermediate = 4864,
     .vocab = 151936,
     .positions = 32768,
     .rope_theta = 1e6,
     .rms_norm_eps = 1e-6,
     .tied = true,
     .qkv_bias = true},
    {.name = "qwen3-0.6b",
     .architecture = "Qwen3ForCausalLM",
     .hidden = 1024,
     .layers = 28,
     .heads = 16,
     .kv_heads = 8,
     .head_dim = 128,
     .intermediate = 3072,
     .vocab = 151936,
     .positions = 40960,
     .rope_theta = 1e6,
     .rms_norm_eps = 1e-6,
     .tied = true,
     .qk_norm = true},
    {.name = "qwen3-4b",
     .architecture = "Qwen3ForCausalLM",
     .hidden = 2560,
     .layers = 36,
     .heads = 32,
     .kv_heads = 8,
     .head_dim = 128,
     .intermediate = 9728,
     .vocab = 151936,
     .positions = 40960,
     .rope_theta = 1e6,
     .rms_norm_eps = 1e-6,
     .tied = true,
     .qk_norm = true},
    {.name = "mistral-7b",
     .architecture = "MistralForCausalLM",
     .hidden = 4096,
     .layers = 32,
     .heads = 32,
     .kv_heads = 8,
     .head_dim = 128,
     .intermediate = 14336,
     .vocab = 32768,
     .positions = 32768,
     .rope_theta = 1e6},
    {.name = "mixtral-8x7b",
     .architecture = "MixtralForCausalLM",
     .hidden = 4096,
     .layers = 32,
     .heads = 32,
     .kv_heads = 8,
     .head_dim = 128,
     .intermediate = 14336,
     .vocab = 32000,
     .positions = 32768,
     .rope_theta = 1e6,
     .experts = 8,
     .experts_used = 2,
     .expert_intermediate = 14336},
    {.name = "qwen3-30b-a3b",
     .architecture = "Qwen3MoeForCausalLM",
     .hidden = 2048,
     .layers = 48,
     .heads = 32,
     .kv_heads = 4,
     .head_dim = 128,
     .intermediate = 6144,
     .vocab = 151936,
     .positions = 40960,
     .rope_theta = 1e6,
     .rms_norm_eps = 1e-6,
     .qk_norm = true,
     .experts = 128,
     .experts_used = 8,
     .expert_intermediate = 768},
    // Nobody publishes these two. The first is a sixth of qwen3-30b-a3b, in layers and in vocabulary, each layer being the same:
    // what fits a small machine. The second has a plain MLP as wide as the 8 experts that a token goes through.
    {.name = "qwen3-5b-a0.5b",
     .architecture = "Qwen3MoeForCausalLM",
     .hidden = 2048,
     .layers = 8,
     .heads = 32,
     .kv_heads = 4,
     .head_dim = 128,
     .intermediate = 6144,
     .vocab = 25600,
     .positions = 40960,
     .rope_theta = 1e6,
     .rms_norm_eps = 1e-6,
     .qk_norm = true,
     .experts = 128,
     .experts_used = 8,
     .expert_intermediate = 768},
    {.name = "qwen3-5b-a0.5b-dense-twin",
     .architecture = "Qwen3ForCausalLM",
     .hidden = 2048,
     .layers = 8,
     .heads = 32,
     .kv_heads = 4,
     .head_dim = 128,
     .intermediate = 6144,
     .vocab = 25600,
     .positions = 40960,
     .rope_theta = 1e6,
     .rms_norm_eps = 1e-6,
     .qk_norm = true},
};

uint64_t hash_name(std::string_view name, uint64_t seed) {
  uint64_t h = 0xcbf29ce484222325ull ^ seed;  // FNV-1a
  for (const char c : name) h = (h ^ uint8_t(c)) * 0x100000001b3ull;
  return h;
}

Json config_of(const RandomShape& s) {
  Json config = {{"architectures", {std::string(s.architecture)}},
                 {"hidden_size", s.hidden},
                 {"num_hidden_layers", s.layers},
                 {"num_attention_heads", s.heads},
                 {"num_key_value_heads", s.kv_heads},
                 {"head_dim", s.head_dim},
                 {"intermediate_size", s.intermediate},
                 {"vocab_size", s.vocab},
                 {"max_position_embeddings", s.positions},
                 {"rms_norm_eps", s.rms_norm_eps},
                 {"rope_theta", s.rope_theta},
                 {"hidden_act", "silu"},
                 {"tie_word_embeddings", s.tied},
                 {"sliding_window", nullptr}};
  if (s.experts > 0)
    config.update({{s.architecture == "MixtralForCausalLM" ? "num_local_experts" : "num_experts", s.experts},
                   {"num_experts_per_tok", s.experts_used},
                   {"moe_intermediate_size", s.expert_intermediate},
                   {"norm_topk_prob", true}});
  if (s.llama3_factor > 0)
    config["rope_scaling"] = {{"rope_type", "llama3"},
                              {"factor", s.llama3_factor},
                              {"low_freq_factor", 1.0},
                              {"high_freq_factor", 4.0},
                              {"original_max_position_embeddings", 8192}};
  return config;
}

class Maker {
 public:
  Maker(const RandomShape& shape, std::string_view type, ThreadPool& pool, uint64_t seed)
      : shape_(shape), plan_(type, shape.layers, shape.tied), pool_(pool), seed_(seed) {}

  // All is planned, then all is made: what does not fit is refused before any memory is taken.
  std::vector<RawTensor> make() {
    plan();
    if (const std::string missed = plan_.message(); !missed.empty()) log_warning("random:{}: {}", shape_.name, missed);
    int64_t bytes = 0;
    for (const Planned& p : planned_) bytes += p.bytes();
    const auto free = int64_t(available_memory());
    require(free == 0 || bytes <= free, ErrorCode::out_of_memory,
            "random:{} takes {} bytes in {}, but {} are free; take a smaller shape, or fewer bits with --quant", shape_.name,
            bytes, plan_.type(), free);
    for (const Planned& p : planned_) fill(p);
    return std::move(tensors_);
  }

 private:
  struct Planned {
    std::string name;
    Shape shape;
    int64_t rows, columns;
    const Format* format;  // nullptr: ones, as norms are
    int64_t stride() const { return row_bytes(format ? format->stored : TensorType::f32, columns, name); }
    int64_t bytes() const { return rows * stride(); }
  };

  void plan() {
    const int64_t hidden = shape_.hidden, q = shape_.heads * shape_.head_dim, kv = shape_.kv_heads * shape_.head_dim;
    matrix("model.embed_tokens.weight", shape_.vocab, hidden);
    for (int64_t i = 0; i < shape_.layers; ++i) {
      const std::string layer = fmt::format("model.layers.{}.", i), attention = layer + "self_attn.";
      norm(layer + "input_layernorm.weight", hidden);
      linear(attention + "q_proj", q, hidden, shape_.qkv_bias);
      linear(attention + "k_proj", kv, hidden, shape_.qkv_bias);
      linear(attention + "v_proj", kv, hidden, shape_.qkv_bias);
      linear(attention + "o_proj", hidden, q, false);
      if (shape_.qk_norm) norm(attention + "q_norm.weight", shape_.head_dim);
      if (shape_.qk_norm) norm(attention + "k_norm.weight", shape_.head_dim);
      norm(layer + "post_attention_layernorm.weight", hidden);
      if (shape_.experts > 0) {
        matrix(layer + "mlp.gate.weight", shape_.experts, hidden);
        experts(layer + "mlp.experts.gate_proj.weight", shape_.expert_intermediate, hidden);
        experts(layer + "mlp.experts.up_proj.weight", shape_.expert_intermediate, hidden);
        experts(layer + "mlp.experts.down_proj.weight", hidden, shape_.expert_intermediate);
      } else {
        linear(layer + "mlp.gate_proj", shape_.intermediate, hidden, false);
        linear(layer + "mlp.up_proj", shape_.intermediate, hidden, false);
        linear(layer + "mlp.down_proj", hidden, shape_.intermediate, false);
      }
    }
    norm("model.norm.weight", hidden);
    if (!shape_.tied) matrix("lm_head.weight", shape_.vocab, hidden);
  }

  std::byte* add(std::string name, TensorType type, Shape shape, int64_t bytes) {
    const StorageRef memory = heap_storage(size_t(bytes));
    RawTensor tensor;
    tensor.source = fmt::format("random:{}: {}", shape_.name, name);
    tensor.name = std::move(name);
    tensor.type = type;
    tensor.shape = shape;
    tensor.bytes = {memory->data(), size_t(bytes)};
    tensor.owner = std::make_shared<StorageRef>(memory);
    tensors_.push_back(std::move(tensor));
    return memory->data();
  }

  // Each row has a seed of its own, so that any thread may fill it.
  void fill(const Planned& p) {
    std::byte* out = add(p.name, p.format ? p.format->stored : TensorType::f32, p.shape, p.bytes());
    if (p.format == nullptr) {
      std::fill_n(reinterpret_cast<float*>(out), p.columns, 1.0f);
      return;
    }
    const int64_t stride = p.stride(), grain = std::max<int64_t>(1, (int64_t(256) << 10) / stride);
    const uint64_t seed = hash_name(p.name, seed_);
    pool_.for_each(p.rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) p.format->randomize(SplitMix64{seed + uint64_t(r)}(), p.columns, out + r * stride);
    });
  }
  void matrix(const std::string& name, int64_t rows, int64_t columns) {
    planned_.push_back({name, {rows, columns}, rows, columns, plan_.choose(name, rows, columns)});
  }
  void experts(const std::string& name, int64_t rows, int64_t columns) {
    const int64_t all = shape_.experts * rows;
    planned_.push_back({name, {shape_.experts, rows, columns}, all, columns, plan_.choose(name, all, columns)});
  }
  void linear(const std::string& name, int64_t rows, int64_t columns, bool bias) {
    matrix(name + ".weight", rows, columns);
    if (bias) planned_.push_back({name + ".bias", {rows}, 1, rows, &find_format("f32")});
  }
  void norm(const std::string& name, int64_t width) { planned_.push_back({name, {width}, 1, width, nullptr}); }

  const RandomShape& shape_;
  WeightPlan plan_;
  ThreadPool& pool_;
  uint64_t seed_;
  std::vector<Planned> planned_;
  std::vector<RawTensor> tensors_;
};

}  // namespace

std::span<const RandomShape> random_shapes() { return kShapes; }

const RandomShape& find_random_shape(std::string_view name) {
  std::string lower(name), known;
  for (char& c : lower) c = char(std::tolower(static_cast<unsigned char>(c)));
  for (const RandomShape& shape : kShapes) {
    if (shape.name == lower) return shape;
    known += (known.empty() ? "" : ", ") + std::string(shape.name);
  }
  fail(ErrorCode::invalid_argument, "random:{} is no shape Gale knows; known are {}", name, known);
}

std::shared_ptr<const Checkpoint> random_checkpoint(const RandomShape& shape, std::string_view type, ThreadPool& pool,
                                                    uint64_t seed) {
  Maker maker(shape, type.empty() ? "q8_0" : type, pool, seed);
  return Checkpoint::assemble(fmt::format("random:{}", shape.name), config_of(shape), maker.make());
}

}  // namespace gale
