#include "quant/policy.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>

#include "base/fail.h"

namespace gale {
namespace {

struct MixName {
  std::string_view name, base, better;
};
constexpr MixName kMixes[] = {
    {"q4_k_s", "q4_k", "q5_k"}, {"q4_k_m", "q4_k", "q6_k"}, {"q5_k_s", "q5_k", "q5_k"}, {"q5_k_m", "q5_k", "q6_k"}};

bool has_any(std::string_view name, std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(parts, [=](std::string_view part) { return name.find(part) != name.npos; });
}

bool is_embedding(std::string_view name) {
  return has_any(name, {"embed_tokens.", "word_embeddings.", "wte.", "tok_embeddings."});
}
bool is_head(std::string_view name) { return has_any(name, {"lm_head.", "embed_out."}); }
/// A router decides between experts: it is tiny, and its errors are not averaged out.
bool is_router(std::string_view name) { return has_any(name, {"mlp.gate.", "moe.gate.", "router.", "shared_expert_gate."}); }
bool is_value(std::string_view name) { return has_any(name, {"v_proj.", "qkv", "query_key_value.", "attn.c_attn.", "W_pack."}); }
bool is_down(std::string_view name) { return has_any(name, {"down_proj", ".w2.", "dense_4h_to_h.", "mlp.c_proj.", "mlp.fc2."}); }

bool use_more_bits(int layer, int layers) {
  const int eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

double bits_per_weight(const Format& format) {
  const TensorTypeInfo& info = tensor_type_info(format.stored);
  return 8.0 * info.bytes / info.block;
}

}  // namespace

std::vector<std::string_view> QuantPolicy::names() {
  std::vector<std::string_view> out;
  for (const Format* format : formats())
    if (format->quantize != nullptr) out.push_back(format->name);
  for (const MixName& mix : kMixes) out.push_back(mix.name);
  return out;
}

QuantPolicy QuantPolicy::named(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  QuantPolicy out;
  for (const std::string_view known : names())
    if (known == lower) out.name_ = known;
  if (out.name_.empty())
    fail(ErrorCode::invalid_argument, "unknown quantization type \"{}\"; known: {}", name, fmt::join(names(), ", "));
  std::string_view base = out.name_;
  for (const MixName& mix : kMixes) {
    if (mix.name != out.name_) continue;
    base = mix.base;
    out.better_ = &find_format(mix.better);
    out.mix_ = mix.name.ends_with("_m") ? Mix::medium : Mix::small;
  }
  out.base_ = &find_format(base);
  return out;
}

const Format* QuantPolicy::at_least(const Format& other) const {
  return bits_per_weight(*base_) < bits_per_weight(other) ? &other : base_;
}

const Format* QuantPolicy::wanted(const Tensor& tensor) const {
  const std::string_view name = tensor.name;
  const bool vector = tensor.rows <= 1 || tensor.columns <= 1;
  if (vector || name.ends_with(".bias") || has_any(name, {"norm"}) || is_router(name)) return &find_format("f32");
  if (is_head(name) || (tensor.tied_head && is_embedding(name))) return at_least(find_format("q6_k"));
  bool more = false;
  if (mix_ == Mix::medium && tensor.layer >= 0)
    more |= (is_value(name) || is_down(name)) && use_more_bits(tensor.layer, tensor.layers);
  if (mix_ == Mix::small && tensor.layer >= 0)
    more |= (is_value(name) && tensor.layer < 4) || (is_down(name) && tensor.layer < tensor.layers / 8);
  return more ? at_least(*better_) : base_;
}

QuantPolicy::Choice QuantPolicy::choose(const Tensor& tensor) const {
  const Format* format = wanted(tensor);
  if (tensor.columns % format->columns_multiple == 0) return {.format = format};
  for (const std::string_view name : {"q8_0", "f16"}) {
    const Format& other = find_format(name);
    if (tensor.columns % other.columns_multiple == 0) return {.format = &other, .instead_of = format};
  }
  fail(ErrorCode::internal, "{}: no format takes {} columns", tensor.name, tensor.columns);
}

void QuantFallbacks::add(const QuantPolicy::Tensor& tensor, const QuantPolicy::Choice& choice) {
  if (choice.instead_of == nullptr || tensors_++ > 0) return;
  first_ = fmt::format("{} has {} columns, {} needs a multiple of {}: {} instead", tensor.name, tensor.columns,
                       choice.instead_of->name, choice.instead_of->columns_multiple, choice.format->name);
}

std::string QuantFallbacks::message() const {
  return tensors_ > 1 ? fmt::format("{} (and {} more like it)", first_, tensors_ - 1) : first_;
}

}  // namespace gale
