#include "checkpoint/gguf_names.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "base/fail.h"
#include "base/json.h"
#include "base/log.h"
#include "checkpoint/gguf_tables.h"

namespace gale {
namespace {

/// Whether the tensors that a decoder's generic translation stands on are there.
bool has_common_tensors(const GgufFile& file) {
  std::unordered_set<std::string_view> names;
  for (const RawTensor& tensor : file.tensors()) names.insert(tensor.name);
  const auto any = [&](std::initializer_list<std::string_view> wanted) {
    return std::any_of(wanted.begin(), wanted.end(), [&](std::string_view name) { return names.contains(name); });
  };
  return any({"token_embd.weight"}) && any({"output_norm.weight"}) && any({"blk.0.attn_q.weight", "blk.0.attn_qkv.weight"}) &&
         any({"blk.0.ffn_down.weight", "blk.0.ffn_down_exps.weight", "blk.0.ffn_down.0.weight"});
}

[[noreturn]] void refuse(const GgufFile& file, const std::string& name) {
  std::string known;
  for (const GgufArchitecture& architecture : gguf_architectures())
    known += (known.empty() ? "" : ", ") + std::string(architecture.gguf);
  fail(ErrorCode::unsupported,
       "{}: architecture '{}' is unknown and the tensors of a usual decoder are not all there; known are {}", file.name(), name,
       known);
}

/// A bias is one row, which row() cannot reorder: it is copied, element i from where row i of the weight lies.
void reorder_bias(RawTensor& bias, int32_t heads) {
  const size_t width = size_t(tensor_type_info(bias.type).bytes);
  const int64_t n = bias.elements();
  auto copy = std::make_shared<std::vector<std::byte>>(bias.bytes.size());
  for (int64_t i = 0; i < n; ++i)
    std::memcpy(copy->data() + size_t(i) * width, bias.bytes.data() + size_t(interleaved_row(i, n, heads)) * width, width);
  bias.bytes = *copy;
  bias.owner = std::move(copy);
}

void undo_interleave(RawTensor& tensor, int64_t heads) {
  const bool bias = tensor.shape.rank() == 1;
  const int64_t rows = bias ? tensor.elements() : tensor.rows();
  require(rows % (2 * heads) == 0 && (!bias || tensor_type_info(tensor.type).block == 1), ErrorCode::corrupt,
          "{}: {} rows of type {} cannot be the halves of {} heads", tensor.source, rows, tensor_type_info(tensor.type).name,
          heads);
  if (bias)
    reorder_bias(tensor, int32_t(heads));
  else
    tensor.interleaved_heads = int32_t(heads);
}

/// The heads whose rows a llama file interleaves in this tensor, 0 for none.
int64_t interleaved_heads(std::string_view hf_name, const Json& config) {
  if (hf_name.ends_with(".self_attn.q_proj.weight") || hf_name.ends_with(".self_attn.q_proj.bias"))
    return config["num_attention_heads"].get<int64_t>();
  if (hf_name.ends_with(".self_attn.k_proj.weight") || hf_name.ends_with(".self_attn.k_proj.bias"))
    return config["num_key_value_heads"].get<int64_t>();
  return 0;
}

}  // namespace

GgufTranslation translate_gguf(const GgufFile& file) {
  const std::string name = gguf_architecture_name(file);
  const GgufArchitecture* known = find_gguf_architecture(name);
  if (!known && !file.tensors().empty()) {
    if (!has_common_tensors(file)) refuse(file, name);
    log_warning("{}: architecture '{}' has no table; its config and tensor names are translated generically", file.name(), name);
  }
  Json config = gguf_config(file, known);
  GgufTranslation out;
  out.tensors = file.tensors();
  for (RawTensor& tensor : out.tensors) {
    tensor.name = hf_tensor_name(tensor.name);
    if (!known || !known->interleaved) continue;
    if (const int64_t heads = interleaved_heads(tensor.name, config); heads > 0) undo_interleave(tensor, heads);
  }
  out.config = std::make_shared<const Json>(std::move(config));
  return out;
}

}  // namespace gale
