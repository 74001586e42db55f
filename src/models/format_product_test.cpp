#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "base/json.h"
#include "models/model.h"
#include "quant/test_recipes.h"
#include "quant/test_weights.h"
#include "tensor/arena.h"

// Every weight format x every kind of layer x every instruction set of this machine: a small model whose matrices are all of one
// format, against the same model of what the format says their values are, in f32. Nothing is excused: a format that does not
// load, or for which nobody says here how it is written, fails.
namespace gale {
namespace {

constexpr int64_t kHidden = 256, kHeads = 4, kKvHeads = 2, kInner = 256, kVocab = 64, kExperts = 3;

struct Matrix {
  std::string name;  // without ".weight"
  int64_t out, in;
};

/// The matrices of a layer.
std::vector<Matrix> matrices(bool moe) {
  const std::string layer = "model.layers.0.", attention = layer + "self_attn.";
  const int64_t kv = kHidden / kHeads * kKvHeads;
  std::vector<Matrix> out = {{attention + "q_proj", kHidden, kHidden},
                             {attention + "k_proj", kv, kHidden},
                             {attention + "v_proj", kv, kHidden},
                             {attention + "o_proj", kHidden, kHidden}};
  for (int64_t e = 0; e < (moe ? kExperts : 1); ++e) {
    const std::string mlp = layer + (moe ? "mlp.experts." + std::to_string(e) + "." : "mlp.");
    out.push_back({mlp + "gate_proj", kInner, kHidden});
    out.push_back({mlp + "up_proj", kInner, kHidden});
    out.push_back({mlp + "down_proj", kHidden, kInner});
  }
  return out;
}

Json config(bool moe) {
  Json out{{"architectures", {moe ? "MixtralForCausalLM" : "LlamaForCausalLM"}},
           {"hidden_size", kHidden},
           {"intermediate_size", kInner},
           {"num_hidden_layers", 1},
           {"num_attention_heads", kHeads},
           {"num_key_value_heads", kKvHeads},
           {"vocab_size", kVocab},
           {"max_position_embeddings", 64},
           {"rms_norm_eps", 1e-5},
           {"rope_theta", 10000.0},
           {"tie_word_embeddings", false}};
  if (moe) out.update(Json{{"num_local_experts", kExperts}, {"num_experts_per_tok", 2}});
  return out;
}

RawTensor tensor_of(std::string name, TensorType type, const Shape& shape, std::vector<std::byte> bytes) {
  auto held = std::make_shared<std::vector<std::byte>>(std::move(bytes));
  RawTensor out;
  out.name = std::move(name);
  out.type = type;
  out.shape = shape;
  out.bytes = *held;
  out.owner = held;
  out.source = "made by a test";
  return out;
}

RawTensor dense(const std::string& name, const Shape& shape, const std::vector<float>& values) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  return tensor_of(name, TensorType::f32, shape, {bytes, bytes + values.size() * sizeof(float)});
}

RawTensor drawn(const std::string& name, const Shape& shape, uint64_t seed, float deviation, float mean = 0) {
  std::vector<float> values = quant_test::weights_like(seed, size_t(shape.elements()), deviation);
  for (float& v : values) v += mean;
  return dense(name, shape, values);
}

/// What no format has a part in.
std::vector<RawTensor> others(bool moe) {
  std::vector<RawTensor> out;
  out.push_back(drawn("model.embed_tokens.weight", {kVocab, kHidden}, 1, 1));
  out.push_back(drawn("lm_head.weight", {kVocab, kHidden}, 2, 0.06f));
  out.push_back(drawn("model.norm.weight", {kHidden}, 3, 0.1f, 1));
  out.push_back(drawn("model.layers.0.input_layernorm.weight", {kHidden}, 4, 0.1f, 1));
  out.push_back(drawn("model.layers.0.post_attention_layernorm.weight", {kHidden}, 5, 0.1f, 1));
  if (moe) out.push_back(drawn("model.layers.0.mlp.gate.weight", {kExperts, kHidden}, 6, 0.06f));
  return out;
}

/// A way to write a weight, of which a format may have several.
struct Writer {
  std::string name;
  const Format* format;
  std::function<quant_test::HfWeight(const Matrix&, uint64_t seed)> make;
};

quant_test::HfWeight as_parts(TensorType type, const Shape& shape, std::vector<std::byte> bytes) {
  quant_test::HfWeight out;
  out.parts["weight"] = {type, shape, std::move(bytes)};
  return out;
}

std::vector<Writer> writers() {
  std::vector<Writer> out;
  for (const Format* format : quant_test::typed_formats())
    out.push_back({std::string(format->name), format, [format](const Matrix& m, uint64_t seed) {
                     const Shape shape{m.out, m.in};
                     if (format->quantize == nullptr) {
                       quant_test::Weight any = quant_test::any_weight(*format, m.out, m.in, -1);
                       return as_parts(format->stored, shape, std::move(any.bytes));
                     }
                     const auto values = quant_test::weights_like(seed, size_t(m.out * m.in), 0.06f);
                     return as_parts(format->stored, shape, quant_test::quantize(*format, values, m.in));
                   }});
  for (const quant_test::Recipe& recipe : quant_test::recipes())
    out.push_back({recipe.name, &find_format(recipe.format),
                   [recipe](const Matrix& m, uint64_t seed) { return recipe.weight(m.out, m.in, seed); }});
  return out;
}

/// The model as that writer writes it, and as f32.
struct Pair {
  std::shared_ptr<const Checkpoint> packed, plain;
};

Pair checkpoints(const Writer& writer, bool moe) {
  std::vector<RawTensor> packed = others(moe), plain = others(moe);
  Json with = config(moe);
  uint64_t seed = 100;
  for (const Matrix& m : matrices(moe)) {
    quant_test::HfWeight weight = writer.make(m, ++seed);
    weight.name = m.name;
    const quant_test::HfGroup group(weight);
    EXPECT_EQ(&format_of(group.group), writer.format) << writer.name;
    plain.push_back(dense(m.name + ".weight", {m.out, m.in}, quant_test::dequantized(*writer.format, group.group)));
    for (auto& [suffix, part] : weight.parts)
      packed.push_back(tensor_of(m.name + "." + suffix, part.type, part.shape, part.bytes));
    if (!weight.config.is_null()) with["quantization_config"] = weight.config;
  }
  return {Checkpoint::assemble("packed", with, std::move(packed)), Checkpoint::assemble("plain", config(moe), std::move(plain))};
}

std::vector<float> logits(const std::shared_ptr<const Checkpoint>& checkpoint, Isa isa, Precision precision) {
  ThreadPool pool(1);
  Arena arena(size_t(16) << 20);
  Ctx ctx{arena, pool, cpu_kernels(isa), precision};
  Loader loader(checkpoint, pool, {});
  const auto model = find_architecture(checkpoint->architecture()).build(Config(checkpoint->config(), "test"), Weights(loader));
  loader.finish();
  KvCache kv(model->cache_layers(), KvType::f32, 16);
  const TrackId track = kv.open();
  const std::vector<int32_t> ids = {1, 7, 3, 42};
  EXPECT_TRUE(kv.reserve(track, int32_t(ids.size())));
  Batch batch;
  batch.add_causal(track, ids.data(), int32_t(ids.size()), 0);
  for (int32_t r = 0; r < batch.rows(); ++r) batch.wanted.push_back(r);
  const Tensor y = model->head(ctx, model->hidden(ctx, batch, kv));
  return {y.data<float>(), y.data<float>() + y.elements()};
}

/// The largest difference over the range; NaN where any logit is none.
double worst(const std::vector<float>& got, const std::vector<float>& want) {
  double most = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i]) || !std::isfinite(want[i])) return NAN;
    most = std::max(most, double(std::fabs(got[i] - want[i])));
  }
  const auto [low, high] = std::ranges::minmax_element(want);
  return most / double(*high - *low);
}

class FormatProduct : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Models, FormatProduct, ::testing::Bool(),
                         [](const auto& info) { return std::string(info.param ? "Mixtral" : "Llama"); });

TEST_P(FormatProduct, RunsAsItsValuesDo) {
  for (const Writer& writer : writers()) {
    SCOPED_TRACE(writer.name);
    try {
      const Pair pair = checkpoints(writer, GetParam());
      for (const Isa isa : detect_cpu().isas) {
        const std::vector<float> want = logits(pair.plain, isa, Precision::exact);
        EXPECT_LT(worst(logits(pair.packed, isa, Precision::exact), want), 1e-4) << isa_name(isa);
        // Inputs rounded to 8 bits: off by something, and by no more than that explains. A router may choose another expert.
        EXPECT_LT(worst(logits(pair.packed, isa, Precision::standard), want), GetParam() ? 0.15 : 0.05) << isa_name(isa);
      }
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
  }
}

TEST(FormatProduct, HasAWriterForEveryFormat) {
  std::set<const Format*> written;
  for (const Writer& writer : writers()) written.insert(writer.format);
  for (const Format* format : formats()) EXPECT_TRUE(written.contains(format)) << format->name;
}

// The positive control: another model's weights are seen.
TEST(FormatProductControl, OtherWeightsGiveOtherLogits) {
  const auto all = writers();
  const auto q8 = std::ranges::find(all, "q8_0", &Writer::name), q4 = std::ranges::find(all, "q4_0", &Writer::name);
  ASSERT_TRUE(q8 != all.end() && q4 != all.end());
  for (const bool moe : {false, true}) {
    const auto a = logits(checkpoints(*q8, moe).packed, Isa::generic, Precision::exact);
    EXPECT_GT(worst(logits(checkpoints(*q4, moe).packed, Isa::generic, Precision::exact), a), 0.01);
  }
}

}  // namespace
}  // namespace gale
