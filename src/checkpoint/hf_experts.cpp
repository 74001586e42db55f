#include "checkpoint/hf_experts.h"

#include <charconv>
#include <initializer_list>
#include <iterator>

#include "base/fail.h"
#include "base/json.h"
#include "checkpoint/gguf_tables.h"

namespace gale {
namespace {

constexpr std::string_view kExperts = ".mlp.experts.";

bool known_family(const Json& config) {
  const auto list = config.find("architectures");
  if (list == config.end() || !list->is_array() || list->empty() || !list->front().is_string()) return false;
  const std::string name = lower_case(list->front().get<std::string>());
  return name == "mixtralforcausallm" || name == "qwen3moeforcausallm";
}

void replace(std::string& text, std::string_view from, std::string_view to) {
  if (const size_t at = text.find(from); at != text.npos) text.replace(at, from.size(), to);
}

std::string usual_name(std::string name) {
  if (name.find(".block_sparse_moe.") == name.npos) return name;
  replace(name, ".block_sparse_moe.", ".mlp.");
  replace(name, ".w1.", ".gate_proj.");
  replace(name, ".w2.", ".down_proj.");
  replace(name, ".w3.", ".up_proj.");
  return name;
}

/// [experts, 2 x out, in] -> for each expert its first out rows, the gate, and its others, the up projection.
void split_gate_up(const RawTensor& fused, std::string_view prefix, std::vector<RawTensor>& out) {
  require(fused.shape.rank() == 3 && fused.shape[0] > 0 && fused.shape[1] % 2 == 0, ErrorCode::corrupt,
          "{}: shape {} cannot be a gate and an up projection for each expert", fused.source, fused.shape.text());
  const size_t half = fused.bytes.size() / size_t(2 * fused.shape[0]);
  for (int64_t i = 0; i < 2 * fused.shape[0]; ++i) {
    RawTensor part = fused;
    part.name = fmt::format("{}{}.{}_proj.weight", prefix, i / 2, i % 2 == 0 ? "gate" : "up");
    part.source += fmt::format(", expert {}", i / 2);
    part.shape = {fused.shape[1] / 2, fused.shape[2]};
    part.bytes = fused.bytes.subspan(size_t(i) * half, half);
    out.push_back(std::move(part));
  }
}

}  // namespace

void normalize_experts(const Json& config, std::vector<RawTensor>& tensors) {
  if (!known_family(config)) return;
  std::vector<RawTensor> out;
  for (RawTensor& tensor : tensors) {
    tensor.name = usual_name(std::move(tensor.name));
    const size_t at = tensor.name.find(kExperts);
    const std::string_view tail = at == std::string::npos ? "" : std::string_view(tensor.name).substr(at + kExperts.size());
    if (tail == "gate_up_proj" || tail == "gate_up_proj.weight") {
      split_gate_up(tensor, tensor.name.substr(0, at + kExperts.size()), out);
      continue;
    }
    if (tail == "down_proj") tensor.name += ".weight";
    out.push_back(std::move(tensor));
  }
  tensors = std::move(out);
}

std::optional<ExpertName> expert_name(std::string_view name) {
  const size_t at = name.find(kExperts);
  if (at == name.npos) return std::nullopt;
  const size_t number = at + kExperts.size();
  int64_t expert = -1;
  const char* end = name.data() + name.size();
  const auto [after, error] = std::from_chars(name.data() + number, end, expert);
  if (error != std::errc() || expert < 0 || after == end || *after != '.') return std::nullopt;
  return ExpertName{std::string(name.substr(0, number)) + std::string(after + 1, end), expert};
}

}  // namespace gale
