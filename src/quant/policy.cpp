#include "quant/policy.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <iterator>

#include "base/fail.h"

namespace gale {
namespace {

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

bool is_output(std::string_view name) {
  return has_any(name, {"o_proj.", "out_proj.", "attn.c_proj.", "attention.dense.", "self_attn.dense.", ".wo."});
}

bool use_more_bits(int layer, int layers) {
  const int eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

using Tensor = QuantPolicy::Tensor;

// What a rule may ask of a tensor.
bool value(const Tensor& t) { return t.layer >= 0 && is_value(t.name); }
bool narrow_value(const Tensor& t) { return value(t) && t.rows * 4 <= t.columns; }  // four queries or more to a value
bool value_of_first2(const Tensor& t) { return value(t) && t.layer < 2; }
bool value_of_first4(const Tensor& t) { return value(t) && t.layer < 4; }
bool down(const Tensor& t) { return t.layer >= 0 && is_down(t.name); }
bool down_of_first16th(const Tensor& t) { return down(t) && t.layer < t.layers / 16; }
bool down_of_first8th(const Tensor& t) { return down(t) && t.layer < t.layers / 8; }
bool output(const Tensor& t) { return t.layer >= 0 && is_output(t.name); }
bool where_more_helps(const Tensor& t) { return (value(t) || down(t)) && use_more_bits(t.layer, t.layers); }
bool embedding(const Tensor& t) { return is_embedding(t.name); }

}  // namespace

/// The first rule that a tensor meets says its format; where there is none it is the base.
struct QuantPolicy::Mix {
  struct Rule {
    bool (*meets)(const Tensor&) = nullptr;
    std::string_view format;
  };
  std::string_view name, base;
  Rule rules[5] = {};
};

namespace {

// llama.cpp's mixes.
constexpr QuantPolicy::Mix kMixes[] = {
    {"q2_k", "q2_k", {{narrow_value, "q4_k"}, {value, "q3_k"}, {down, "q3_k"}, {output, "q3_k"}}},
    {"q2_k_s", "q2_k", {{narrow_value, "q4_k"}, {down_of_first8th, "q4_k"}}},
    {"q3_k_s", "q3_k"},
    {"q3_k_m",
     "q3_k",
     {{value_of_first2, "q5_k"}, {value, "q4_k"}, {down_of_first16th, "q5_k"}, {down, "q4_k"}, {output, "q4_k"}}},
    {"q3_k_l", "q3_k", {{value, "q5_k"}, {down, "q5_k"}, {output, "q5_k"}}},
    {"q4_k_s", "q4_k", {{value_of_first4, "q5_k"}, {down_of_first8th, "q5_k"}}},
    {"q4_k_m", "q4_k", {{where_more_helps, "q6_k"}}},
    {"q5_k_s", "q5_k"},
    {"q5_k_m", "q5_k", {{where_more_helps, "q6_k"}}},
    {"iq2_xxs", "iq2_xxs", {{embedding, "q2_k"}, {narrow_value, "q4_k"}, {value, "q2_k"}, {down_of_first8th, "q2_k"}}},
    {"iq2_xs", "iq2_xs", {{embedding, "q2_k"}, {narrow_value, "q4_k"}, {value, "q2_k"}, {down_of_first8th, "q2_k"}}},
    {"iq2_s",
     "iq2_s",
     {{embedding, "iq3_s"}, {narrow_value, "q4_k"}, {value, "iq3_s"}, {down_of_first8th, "iq3_s"}, {output, "iq3_s"}}},
    {"iq3_xxs", "iq3_xxs", {{embedding, "iq3_s"}, {narrow_value, "q4_k"}, {output, "iq3_s"}}},
    {"iq3_s", "iq3_s", {{narrow_value, "q4_k"}}},
    {"iq4_nl", "iq4_nl", {{narrow_value, "q5_k"}}},
    {"iq4_xs", "iq4_xs", {{narrow_value, "q5_k"}}},
    {"tq1_0", "tq1_0", {{embedding, "q4_k"}}},
    {"tq2_0", "tq2_0", {{embedding, "q4_k"}}},
};

double bits_per_weight(const Format& format) {
  const TensorTypeInfo& info = tensor_type_info(format.stored);
  return 8.0 * info.bytes / info.block;
}

}  // namespace

std::vector<std::string_view> QuantPolicy::names() {
  std::vector<std::string_view> out;
  for (const Format* format : formats())
    if (format->quantize != nullptr) out.push_back(format->name);
  for (const Mix& mix : kMixes)
    if (std::ranges::find(out, mix.name) == out.end()) out.push_back(mix.name);
  return out;
}

namespace {

// As it is in names(), or "".
std::string_view known_name(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kBits[] = {{"2", "q2_k"},   {"3", "q3_k_m"}, {"4", "q4_k_m"},
                                                                     {"5", "q5_k_m"}, {"6", "q6_k"},   {"8", "q8_0"}};
  std::string lower(name);
  for (const auto& [bits, type] : kBits)
    if (bits == name) lower = type;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  for (const std::string_view known : QuantPolicy::names())
    if (known == lower) return known;
  return "";
}

}  // namespace

bool QuantPolicy::is_named(std::string_view name) { return !known_name(name).empty(); }

QuantPolicy QuantPolicy::named(std::string_view name) {
  QuantPolicy out;
  out.name_ = known_name(name);
  if (out.name_.empty())
    fail(ErrorCode::invalid_argument, "unknown quantization type \"{}\"; known: {}", name, fmt::join(names(), ", "));
  for (const Mix& mix : kMixes)
    if (mix.name == out.name_) out.mix_ = &mix;
  out.base_ = &find_format(out.mix_ ? out.mix_->base : out.name_);
  return out;
}

const Format* QuantPolicy::at_least(const Format& other) const {
  return bits_per_weight(*base_) < bits_per_weight(other) ? &other : base_;
}

bool QuantPolicy::stays_f32(const Tensor& t) {
  return t.rows <= 1 || t.columns <= 1 || t.name.ends_with(".bias") || has_any(t.name, {"norm"}) || is_router(t.name);
}

const Format* QuantPolicy::wanted(const Tensor& tensor) const {
  const std::string_view name = tensor.name;
  if (stays_f32(tensor)) return &find_format("f32");
  if (is_head(name) || (tensor.tied_head && is_embedding(name))) return at_least(find_format("q6_k"));
  for (size_t i = 0; mix_ != nullptr && i < std::size(mix_->rules) && mix_->rules[i].meets != nullptr; ++i)
    if (mix_->rules[i].meets(tensor)) return at_least(find_format(mix_->rules[i].format));
  return base_;
}

QuantPolicy::Choice QuantPolicy::choose(const Tensor& tensor) const { return fitting(wanted(tensor), tensor); }

QuantPolicy::Choice QuantPolicy::pin(const Tensor& tensor) const {
  const bool mixed = mix_ != nullptr && mix_->name != mix_->base;
  return mixed || stays_f32(tensor) ? choose(tensor) : fitting(base_, tensor);
}

QuantPolicy::Choice QuantPolicy::fitting(const Format* format, const Tensor& tensor) {
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
