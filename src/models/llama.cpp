#include "base/fail.h"
#include "checkpoint/hf_config.h"
#include "models/model.h"
#include "nn/attention.h"
#include "nn/mlp.h"

// Llama 2 and 3.x, Mistral, Qwen2 and Qwen3: one block. What tells them apart is in the checkpoint (biases, norms of q and k, a
// tied head) or the config (window, rope), so nothing here asks for a family's name. Touvron et al., "LLaMA", 2023; Jiang et al.,
// "Mistral 7B", 2023; Yang et al., "Qwen2" and "Qwen3", 2024 and 2025.

namespace gale {
namespace {

struct Block {
  RmsNorm attention_norm;
  Attention attention;
  RmsNorm mlp_norm;
  GatedMlp mlp;
};

class Llama final : public Model {
 public:
  Llama(const Config& config, const Weights& weights)
      : hidden_(config.integer("hidden_size")),
        vocab_(config.integer("vocab_size")),
        positions_(config.integer("max_position_embeddings", 2048)) {
    const int64_t layers = config.integer("num_hidden_layers", {}, 1, kMostLayers), heads = config.integer("num_attention_heads");
    const AttentionShape shape{hidden_, heads, config.integer("num_key_value_heads", heads),
                               config.integer("head_dim", hidden_ / heads)};
    require(heads % shape.kv_heads == 0, ErrorCode::corrupt, "{}: {} heads cannot share {} key/value heads", config.where(),
            heads, shape.kv_heads);
    const float eps = float(config.number("rms_norm_eps", 1e-6, 0, 1));
    const Weights model = weights["model"];
    embed_ = model.embedding("embed_tokens", vocab_, hidden_);
    rope_ = Rope(config, shape.width, weights.maybe_vector("rope_freqs.weight"));
    for (const Weights& w : model.layers("layers", layers)) {
      const auto i = int64_t(blocks_.size());
      AttentionShape own = shape;
      own.window = window_of(config, i);
      blocks_.push_back({w.norm("input_layernorm", eps, hidden_), Attention(w["self_attn"], own, int32_t(i), eps),
                         w.norm("post_attention_layernorm", eps, hidden_),
                         GatedMlp(config, w["mlp"], hidden_, config.integer("intermediate_size"))});
    }
    norm_ = model.norm("norm", eps, hidden_);
    head_ = config.flag("tie_word_embeddings", false) ? embed_.tied() : weights.linear("lm_head", vocab_, hidden_);
  }

  Tensor hidden(Ctx& ctx, const Batch& b, KvCache& kv, Taps* taps) const override {
    const RopeRows angles = rope_.rows(ctx, b);
    Tensor x = embed_(ctx, b);
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const Block& blk = blocks_[i];
      x = ops::add(ctx, x, blk.attention(ctx, blk.attention_norm(ctx, x), b, kv, rope_, angles));
      x = ops::add(ctx, x, blk.mlp(ctx, blk.mlp_norm(ctx, x)));
      if (taps && taps->rows.size() < taps->layers.size() && taps->layers[taps->rows.size()] == int32_t(i))
        taps->rows.push_back(x);
    }
    return norm_(ctx, ops::gather_rows(ctx, x, b.wanted));
  }

  Tensor head(Ctx& ctx, const Tensor& rows) const override { return head_(ctx, rows); }
  int64_t vocab() const override { return vocab_; }
  int64_t hidden_width() const override { return hidden_; }
  int64_t max_positions() const override { return positions_; }
  std::vector<CacheLayer> cache_layers() const override {
    std::vector<CacheLayer> out;
    for (const Block& blk : blocks_) out.push_back(blk.attention.cache_layer());
    return out;
  }

 private:
  int64_t hidden_, vocab_, positions_;
  Embedding embed_;
  Rope rope_;
  std::vector<Block> blocks_;
  RmsNorm norm_;
  Linear head_;
};

constexpr std::string_view kNames[] = {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"};

std::unique_ptr<Model> build(const Config& config, const Weights& weights) { return std::make_unique<Llama>(config, weights); }

}  // namespace

extern const Arch arch_llama;
const Arch arch_llama{"llama", kNames, &build};

}  // namespace gale
