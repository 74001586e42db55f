#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json_fwd.h"
#include "checkpoint/tensor_type.h"
#include "tensor/shape.h"

namespace gale {

class GgufFile;
struct PackedInfo;

/// One tensor as it lies in a file: raw bytes under its Hugging Face name. `shape` is in Hugging Face order, [out, in] for a
/// matrix; a quantized tensor's shape counts elements, not bytes.
struct RawTensor {
  std::string name;  ///< "model.layers.0.self_attn.q_proj.weight"
  TensorType type = TensorType::f32;
  Shape shape;
  std::span<const std::byte> bytes;   ///< checked against the file: shape x type
  std::shared_ptr<const void> owner;  ///< keeps the bytes alive
  std::string source;                 ///< file name and the name in it, for messages
  /// Heads whose rows GGUF files interleave for rope (llama's q and k), 0: rows are in order. See row().
  int32_t interleaved_heads = 0;
  /// "": rows as the type stores them. Else the bytes are panels of the layout of this name (nn/arrangement.h), from a packed
  /// file: quant/arranged.h reads their values, and row() means nothing.
  std::string layout = {};
  /// Bytes from one row to the next and from one element of a row to the next, where another tensor's lie between them (gate and
  /// up of gpt-oss); 0: they follow each other. Plain floats and MXFP4 can be read so, other formats refuse.
  int64_t row_apart = 0, column_apart = 0;

  bool woven() const { return row_apart != 0 || column_apart != 0; }
  /// Those of the elements: `bytes` of a woven tensor spans what lies between them too.
  int64_t own_bytes() const;
  int64_t rows() const { return shape.rank() == 0 ? 1 : columns() == 0 ? 0 : elements() / columns(); }
  int64_t columns() const { return shape.rank() == 0 ? 1 : shape[-1]; }
  int64_t elements() const { return shape.elements(); }
  int64_t row_stride() const { return woven() ? row_apart : rows() == 0 ? 0 : int64_t(bytes.size()) / rows(); }
  /// Row `i` in Hugging Face's order. REQUIRES: 0 <= i < rows().
  const std::byte* row(int64_t i) const;
};

/// Where GGUF files keep row `i` of a matrix of `rows` rows that Hugging Face stores for rotate-half rope: each head's two halves
/// are interleaved, so that row h*D + j*D/2 + k lies at h*D + 2*k + j. A bijection; `heads` 0 gives i itself.
/// REQUIRES: rows is a multiple of 2 * heads.
int64_t interleaved_row(int64_t i, int64_t rows, int32_t heads);

/// Exact size accounting of a checkpoint, from one pass over its headers.
struct CheckpointSizes {
  struct Part {
    std::string name;  ///< "embedding", "layer 0" ..., "head", "other"
    int64_t tensors = 0;
    int64_t parameters = 0;  ///< elements as stored; packed formats (GPTQ, AWQ) count their words
    int64_t bytes = 0;
    int64_t expert_bytes = 0;  ///< of these, routed experts
    int64_t expert_parameters = 0;
  };
  std::vector<Part> parts;  ///< embedding, every layer in order, head, other (only those that exist)
  int64_t parameters = 0, bytes = 0;
  double used_experts = 1;        ///< the share of its experts that a token goes through, by the config; 1 where it has none
  int64_t active_parameters = 0;  ///< that one token goes through
  bool tied_head = false;         ///< no tensor for the head: it is the embedding, counted once
};

/// A model on disk, whatever its container: Hugging Face names, raw bytes, an HF-style config. Immutable; bytes stay mapped while
/// the Checkpoint or any copy of a RawTensor lives.
class Checkpoint {
 public:
  /// Opens a directory with config.json and safetensors (single or sharded by model.safetensors.index.json) or with one GGUF, a
  /// .gguf file (the first split is enough), a .safetensors file beside its config.json, mistral.rs's .uqff (a folder of one set,
  /// or a shard), or a packed .gale file.
  /// Throws Error: not_found (nothing there, an empty directory: says what was looked for), corrupt (with file, tensor, values),
  /// unsupported (an unknown architecture, listing the known ones).
  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& path);
  /// The text side of a folder: its tokenizer and template, and its config where it has one, without a tensor.
  static std::shared_ptr<const Checkpoint> open_text(const std::filesystem::path& folder);
  /// A checkpoint from parts made in memory: random weights, tests. The config is brought into the form config() promises.
  /// Throws Error{corrupt} where two tensors have one name.
  static std::shared_ptr<const Checkpoint> assemble(std::filesystem::path path, const Json& config,
                                                    std::vector<RawTensor> tensors);
  virtual ~Checkpoint() = default;

  const std::filesystem::path& path() const { return path_; }
  /// The config in Hugging Face's terms: "architectures", "hidden_size", "rope_theta" ... A GGUF's metadata is translated.
  /// One form of rope and of windows whatever the config's age and family: see normalize_config().
  const Json& config() const { return *config_; }
  /// The file that config() comes from, for messages.
  const std::string& config_source() const { return config_source_; }
  /// generation_config.json, or {} (for GGUF: eos and bos ids from its metadata).
  const Json& generation_config() const { return *generation_config_; }
  /// First entry of "architectures", as the file spells it.
  std::string architecture() const;
  const std::vector<RawTensor>& tensors() const { return tensors_; }
  /// nullptr where there is none. O(1).
  const RawTensor* find(std::string_view name) const;
  /// The tensors named `name`.<anything>, by name.
  std::vector<const RawTensor*> below(std::string_view name) const;
  CheckpointSizes sizes() const;
  /// Text of tokenizer.json, nullopt for a GGUF or where there is none.
  std::optional<std::string> tokenizer_json() const;
  /// The chat template's source (tokenizer_config.json, chat_template.jinja, or GGUF metadata), nullopt where there is none.
  std::optional<std::string> chat_template() const;
  /// The text of bos/eos tokens as tokenizer_config.json gives them ("" where unknown; for GGUF the vocabulary's own).
  std::string bos_token() const;
  std::string eos_token() const;
  /// The GGUF behind it, nullptr for safetensors. Behind a file packed from a GGUF: one without tensors.
  const GgufFile* gguf() const { return gguf_.get(); }
  /// What a packed file says of itself, nullptr for any other.
  const PackedInfo* packed() const { return packed_.get(); }
  /// Every file that was read, or may be (tokenizer, templates); none for one in memory.
  const std::vector<std::filesystem::path>& files() const { return files_; }
  /// What tokenizer_config.json says, or {}.
  const Json& tokenizer_config() const { return *tokenizer_config_; }

 protected:
  Checkpoint() = default;
  friend struct CheckpointBuilder;
  std::filesystem::path path_;
  std::string config_source_;
  std::optional<std::filesystem::path> directory_;  // where tokenizer.json and the like lie; none for a GGUF or one in memory
  std::shared_ptr<const Json> config_, generation_config_, tokenizer_config_;
  std::vector<RawTensor> tensors_;
  std::unordered_map<std::string_view, size_t> index_;  // keys lie in tensors_
  std::vector<const RawTensor*> sorted_;                // by name
  std::shared_ptr<const GgufFile> gguf_;
  std::shared_ptr<const PackedInfo> packed_;
  std::vector<std::filesystem::path> files_;
};

}  // namespace gale
