#include <variant>

#include "base/fail.h"
#include "checkpoint/hf_config.h"
#include "models/model.h"
#include "nn/attention.h"
#include "nn/mlp.h"
#include "nn/moe.h"

// Qwen3-MoE: Qwen3's attention, and a mixture of experts in the layers that the config calls sparse, a plain MLP in the others.
// Yang et al., "Qwen3 Technical Report", 2025.

namespace gale {
namespace {

struct Block {
  RmsNorm attention_norm;
  Attention attention;
  RmsNorm mlp_norm;
  std::variant<Moe, GatedMlp> mlp;
};

class Qwen3Moe final : public Model {
 public:
  Qwen3Moe(const Config& config, const Weights& weights)
      : hidden_(config.integer("hidden_size")),
        vocab_(config.integer("vocab_size")),
        positions_(config.integer("max_position_embeddings", 32768)) {
    const int64_t layers = config.integer("num_hidden_layers", {}, 1, kMostLayers), heads = config.integer("num_attention_heads");
    AttentionShape attention{.hidden = hidden_,
                             .heads = heads,
                             .kv_heads = config.integer("num_key_value_heads", heads),
                             .width = config.integer("head_dim", hidden_ / heads)};
    require(heads % attention.kv_heads == 0, ErrorCode::corrupt, "{}: {} heads cannot share {} key/value heads", config.where(),
            heads, attention.kv_heads);
    const MoeShape moe{.hidden = hidden_,
                       .intermediate = config.integer("moe_intermediate_size"),
                       .experts = config.integer("num_experts", {}, 1, kMostExperts),
                       .used = config.integer("num_experts_per_tok"),
                       .renormalize = config.flag("norm_topk_prob", false)};
    const float eps = float(config.number("rms_norm_eps", 1e-6, 0, 1));
    const Weights model = weights["model"];
    embed_ = model.embedding("embed_tokens", vocab_, hidden_);
    rope_ = Rope(config, attention.width, weights.maybe_vector("rope_freqs.weight"));
    const auto mlp_of = [&](const Weights& w, int32_t layer) -> std::variant<Moe, GatedMlp> {
      if (config.text_at("mlp_layer_types", size_t(layer)) == "dense")
        return GatedMlp(config, w, hidden_, config.integer("intermediate_size"));
      return Moe(config, w, moe);
    };
    for (const Weights& w : model.layers("layers", layers)) {
      const auto i = int32_t(blocks_.size());
      attention.window = window_of(config, i);
      blocks_.push_back({w.norm("input_layernorm", eps, hidden_), Attention(w["self_attn"], attention, i, eps),
                         w.norm("post_attention_layernorm", eps, hidden_), mlp_of(w["mlp"], i)});
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
      const Tensor normed = blk.mlp_norm(ctx, x);
      x = ops::add(ctx, x, std::visit([&](const auto& mlp) { return mlp(ctx, normed); }, blk.mlp));
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

constexpr std::string_view kNames[] = {"Qwen3MoeForCausalLM"};

std::unique_ptr<Model> build(const Config& config, const Weights& weights) { return std::make_unique<Qwen3Moe>(config, weights); }

}  // namespace

extern const Arch arch_qwen3_moe;
const Arch arch_qwen3_moe{"qwen3_moe", kNames, &build};

}  // namespace gale
