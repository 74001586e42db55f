#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "gale/features.h"
#include "quant/format.h"
#include "quant/policy.h"

namespace gale {
namespace {

// What the field calls weight formats. Which of them load is not said here: that is what formats() has.
struct Known {
  std::string_view name;
  std::string_view detail;
  std::string_view aliases;     // by spaces
  std::string_view needs = "";  // by spaces: the formats that read what files of this name hold; "" means the format itself
};

constexpr Known kKnown[] = {
    {"f32", "32-bit floats", "fp32 float32"},
    {"f16", "16-bit floats", "fp16 float16 half"},
    {"bf16", "bfloat16", "bfloat16"},
    {"fp8_hf", "8-bit floats with tensor, channel or block scales, in safetensors", "f8_e4m3 e4m3 fp8_e4m3 f8e4m3 fbgemm_fp8"},
    {"f8_e5m2", "8-bit floats, wide range", "fp8_e5m2 e5m2 float8_e5m2", "fp8_hf"},
    {"fp8", "8-bit floats with a scale for each output", "f8 float8"},
    {"fp8_block", "8-bit floats with a scale for 128 outputs and 128 columns", ""},
    {"q4_0", "GGUF, 4 bits, 32 wide", "q4"},
    {"q4_1", "GGUF, 4 bits with minimum", ""},
    {"q5_0", "GGUF, 5 bits, 32 wide", "q5"},
    {"q5_1", "GGUF, 5 bits with minimum", ""},
    {"q8_0", "GGUF, 8 bits, 32 wide", "q8"},
    {"q8_1", "GGUF, 8 bits with sums", ""},
    {"q2_k", "GGUF, 2 bits, two levels of scales; made as a mix with q3_k and q4_k", "q2k"},
    {"q3_k", "GGUF, 3 bits, two levels of scales", "q3k"},
    {"q4_k", "GGUF, 4 bits, two levels of scales", "q4k"},
    {"q5_k", "GGUF, 5 bits, two levels of scales", "q5k"},
    {"q6_k", "GGUF, 6 bits, two levels of scales", "q6k"},
    {"q8_k", "GGUF, 8 bits, 256 wide", "q8k"},
    {"q2_k_s", "mix of q2_k and q4_k", "", "q2_k q4_k"},
    {"q3_k_s", "q3_k throughout", "", "q3_k q6_k"},
    {"q3_k_m", "mix around q3_k", "", "q3_k q4_k q5_k q6_k"},
    {"q3_k_l", "mix around q3_k and q5_k", "", "q3_k q5_k q6_k"},
    {"q4_k_s", "mix of q4_k and a little q5_k", "", "q4_k q5_k q6_k"},
    {"q4_k_m", "mix of q4_k and q6_k", "", "q4_k q6_k"},
    {"q5_k_s", "q5_k throughout", "", "q5_k q6_k"},
    {"q5_k_m", "mix of q5_k and q6_k", "", "q5_k q6_k"},
    {"iq1_s", "GGUF, 1.6 bits through a codebook", ""},
    {"iq1_m", "GGUF, 1.8 bits through a codebook", ""},
    {"iq2_xxs", "GGUF, 2.1 bits through a codebook", ""},
    {"iq2_xs", "GGUF, 2.3 bits through a codebook", ""},
    {"iq2_s", "GGUF, 2.5 bits through a codebook", "iq2_m"},
    {"iq3_xxs", "GGUF, 3.1 bits through a codebook", ""},
    {"iq3_s", "GGUF, 3.4 bits through a codebook", "iq3_m"},
    {"iq4_nl", "GGUF, 4 bits through a table", ""},
    {"iq4_xs", "GGUF, 4 bits through a table, two levels of scales", ""},
    {"tq1_0", "GGUF, ternary, 1.7 bits", ""},
    {"tq2_0", "GGUF, ternary, 2 bits", ""},
    {"mxfp4", "4-bit floats with a power of two per 32 (OCP)", "mxfp4_moe"},
    {"nvfp4", "4-bit floats with an e4m3 scale per 16", ""},
    {"q1_0", "GGUF, signs of 128 under one scale", ""},
    {"q2_0", "GGUF, 2 bits, 64 wide", ""},
    {"f8q8", "8-bit integers under an 8-bit float per 32 (mistral.rs)", ""},
    {"mxfp4_ocp", "mxfp4 in safetensors (gpt-oss, compressed-tensors, MLX)", ""},
    {"mxfp8", "8-bit floats with a power of two per 32, in safetensors (MLX)", ""},
    {"nvfp4_hf", "nvfp4 in safetensors (ModelOpt, compressed-tensors, MLX)", "modelopt"},
    {"gptq", "GPTQ of 2, 3, 4 and 8 bits, act-order and Marlin's form too", "gptqmodel autogptq gptq_marlin marlin"},
    {"gptq2", "GPTQ of 2 bits, symmetric, 128 wide", ""},
    {"gptq3", "GPTQ of 3 bits, symmetric, 128 wide", ""},
    {"gptq4", "GPTQ of 4 bits, symmetric, 128 wide", ""},
    {"gptq8", "GPTQ of 8 bits, symmetric, 128 wide", ""},
    {"awq", "AWQ, 4 bits, gemm and gemv", "autoawq"},
    {"hqq", "HQQ of 1, 2, 3, 4 or 8 bits, along either axis, in safetensors", ""},
    {"hqq1", "HQQ of 1 bit, 64 wide", ""},
    {"hqq2", "HQQ of 2 bits, 64 wide", ""},
    {"hqq3", "HQQ of 3 bits, 64 wide", ""},
    {"hqq4", "HQQ of 4 bits, 64 wide", ""},
    {"hqq8", "HQQ of 8 bits, 64 wide", ""},
    {"bitsandbytes", "NF4 and FP4 of bitsandbytes, in safetensors", "bnb bnb4 bnb_4bit bnb_nf4 bnb_fp4"},
    {"bnb_int8", "LLM.int8() of bitsandbytes, in safetensors", "bnb8 llm_int8 bnb_8bit"},
    {"nf4", "bitsandbytes' NormalFloat4, 64 wide", ""},
    {"fp4", "bitsandbytes' FP4, 64 wide", ""},
    {"int8", "8-bit integers with a scale for each output", ""},
    {"compressed_tensors", "llm-compressor's containers", "ct llmcompressor"},
    {"afq", "affine of 2, 3, 4, 5, 6 or 8 bits (MLX), in safetensors", "mlx"},
    {"afq2", "affine, 2 bits (MLX), 64 wide", ""},
    {"afq3", "affine, 3 bits (MLX), 64 wide", ""},
    {"afq4", "affine, 4 bits (MLX), 64 wide", ""},
    {"afq5", "affine, 5 bits (MLX), 64 wide", ""},
    {"afq6", "affine, 6 bits (MLX), 64 wide", ""},
    {"afq8", "affine, 8 bits (MLX), 64 wide", ""},
    {"uqff", "mistral.rs's container of quantized tensors, 1.x", "", "hqq fp8_hf afq f8q8 mxfp4_ocp q4_k"},
};

std::string plain(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = c == '-' ? '_' : char(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

const Format* registered(std::string_view name) {
  for (const Format* format : formats())
    if (plain(format->name) == name) return format;
  return nullptr;
}

QuantSupport describe(const Known& known) {
  QuantSupport out{std::string(known.name), QuantState::unsupported, false, std::string(known.detail), words(known.aliases)};
  if (!known.needs.empty()) {
    const auto parts = words(known.needs);
    const auto mixes = QuantPolicy::names();
    out.can_write = std::find(mixes.begin(), mixes.end(), known.name) != mixes.end();
    if (out.can_write || std::all_of(parts.begin(), parts.end(), [](const std::string& p) { return registered(p) != nullptr; }))
      out.state = QuantState::stable;
    return out;
  }
  const Format* format = registered(known.name);
  for (size_t i = 0; format == nullptr && i < out.aliases.size(); ++i) format = registered(out.aliases[i]);
  if (format == nullptr) return out;
  out.state = QuantState::stable;
  out.can_write = format->quantize != nullptr;
  return out;
}

bool answers_to(const QuantSupport& q, const std::string& name) {
  return q.name == name || std::find(q.aliases.begin(), q.aliases.end(), name) != q.aliases.end();
}

}  // namespace

const char* quant_state_name(QuantState state) noexcept {
  switch (state) {
    case QuantState::stable:
      return "stable";
    case QuantState::experimental:
      return "experimental";
    case QuantState::unsupported:
      return "unsupported";
    case QuantState::unknown:
      return "unknown";
  }
  return "unknown";
}

std::string QuantSupport::warning_message() const {
  switch (state) {
    case QuantState::stable:
      return can_write ? "" : fmt::format("{} is read, but not written by gale quantize", name);
    case QuantState::experimental:
      return fmt::format("{} is experimental: compare the answers with the unquantized model's", name);
    case QuantState::unsupported:
      return fmt::format("{} is not read by this version; take the model in another form (gale doctor lists them)", name);
    case QuantState::unknown:
      return fmt::format("\"{}\" is no weight format that Gale knows (gale doctor lists them)", name);
  }
  return "";
}

std::vector<QuantSupport> quantization_formats() {
  std::vector<QuantSupport> out;
  for (const Known& known : kKnown) out.push_back(describe(known));
  for (const Format* format : formats()) {
    const std::string name = plain(format->name);
    if (std::none_of(out.begin(), out.end(), [&](const QuantSupport& q) { return answers_to(q, name); }))
      out.push_back({name, QuantState::stable, format->quantize != nullptr, "", {}});
  }
  return out;
}

QuantSupport quantization_support(std::string_view name) {
  const std::string wanted = plain(name);
  for (QuantSupport& q : quantization_formats())
    if (answers_to(q, wanted)) return q;
  return {std::string(name), QuantState::unknown, false, "", {}};
}

}  // namespace gale
