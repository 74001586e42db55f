#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "kernels/layout.h"

namespace gale {

struct CpuKernels;
struct GptqPlan;
struct FileModule;
struct FilePart;
struct MadeMatrix;

/// The tensors of a checkpoint that together are one weight: "weight" alone for plain and GGUF types; "qweight", "scales",
/// "qzeros" and so on for others. Keys are what follows the weight's name and a dot.
struct TensorGroup {
  std::string name;  ///< "model.layers.0.self_attn.q_proj"
  std::map<std::string, const RawTensor*, std::less<>> parts;
  const Json* quantization_config = nullptr;  ///< of config.json, nullptr where absent

  /// The part, or nullptr.
  const RawTensor* part(std::string_view suffix) const;
};

/// Every tensor named `name`.<part>, but a bias: nobody needs to know which parts a format has, and a part that no format
/// understands is not overlooked. No parts where the checkpoint has none.
TensorGroup group_of(const Checkpoint& checkpoint, std::string_view name);

/// The weight that the tensor is a part of, with its other parts; alone, as "weight", where it is none of several. The first part
/// stands for all where tensors are counted.
TensorGroup group_around(const Checkpoint& checkpoint, const RawTensor& tensor);

/// Where a tensor's bytes lie, as messages say it: its file's name, or "the file".
std::string_view file_of(const RawTensor& tensor);

/// A weight format: how bytes in a file become values. One file per format in quant/formats/, which defines
/// `extern const Format format_<file name>`; the list is generated from the file names. No SIMD, and no kernel but the search for
/// scales that quantize is given.
/// Functions throw Error{corrupt} for bytes that contradict themselves; a slice's columns start and end on whole blocks.
struct Format {
  std::string_view name;  ///< "q4_k": what --type and --quant take
  /// True where this format reads the group.
  bool (*claims)(const TensorGroup& group);
  /// [out rows, in columns] of the matrix.
  std::pair<int64_t, int64_t> (*shape)(const TensorGroup& group);
  /// The layout its groups go into.
  Layout (*layout)(const TensorGroup& group);
  /// Slow and exact, f32 [slice.rows, slice.columns]: the truth that tests compare with.
  void (*dequantize)(const TensorGroup& group, const Slice2& slice, float* out);
  /// The logical groups of a slice; `out` is resized for layout(group). Columns are those of order(group).
  void (*groups)(const TensorGroup& group, const Slice2& slice, LogicalGroups& out);
  /// The column of the matrix at each place of groups(); empty, or the function nullptr, where they are the same.
  std::vector<int32_t> (*order)(const TensorGroup& group) = nullptr;

  /// Type under which a single "weight" tensor of this format is stored; f32 for formats of several tensors.
  TensorType stored = TensorType::f32;
  /// Columns must be a multiple of this.
  int32_t columns_multiple = 1;
  /// Rows that quantize is given together, counted from the first of a matrix, since they share scales; the last may be fewer.
  int32_t rows_together = 1;
  /// Where the format can be made; both are set or none.
  /// Quantizes whole rows: f32 [rows, columns] -> rows x row_bytes(stored, columns) bytes. `importance` is f32 [columns] (mean of
  /// squared inputs) or nullptr. The same bytes with the kernels of any instruction set; nullptr: the format is read only.
  void (*quantize)(const CpuKernels& cpu, const float* values, int64_t rows, int64_t columns, const float* importance,
                   std::byte* out) = nullptr;
  bool weighs = false;  ///< quantize makes use of importance
  /// The same with all that is known of the inputs (quant/gptq.h), for formats whose codes can make up for each other's errors;
  /// nullptr for the others. f32 [rows, plan.columns]. Slow: columns^2 multiply-adds a row.
  void (*quantize_by)(const GptqPlan& plan, const float* values, int64_t rows, std::byte* out) = nullptr;
  /// Where it is not 0, one more scale goes with a matrix as a part "scale", f32: it brings the largest value to this magnitude,
  /// at which blocks are at their best, and quantize is given the values over it. See SecondScale.
  float reach = 0;
  /// The inverse of groups() for whole rows of a lone "weight": their bytes as `stored`, [slice.rows x row_bytes]. nullptr where
  /// a file of that type is not written.
  void (*join)(const LogicalGroups& groups, int64_t columns, std::byte* out) = nullptr;
  /// Where what is made can be written as other engines' safetensors have it: the format that reads those, and the bits of a
  /// code.
  std::string_view file_form = {};
  int file_bits = 0;
  /// Of the format that reads them: the parts of a made matrix as files have them, the inverse of groups() here, none where the
  /// form has no place for a matrix of that shape; and what config.json says of a model of such. See quant/file_parts.h.
  std::vector<FilePart> (*encode)(const MadeMatrix& made) = nullptr;
  Json (*file_config)(const Format& made, std::span<const FileModule> others) = nullptr;
  /// One row of random weights, drawn as bytes: valid, mean near 0, standard deviation near 0.02. The same for the same seed.
  void (*randomize)(uint64_t seed, int64_t columns, std::byte* out) = nullptr;
};

/// The scale of a whole matrix beside those of its blocks, for formats that want one.
struct SecondScale {
  /// Of the matrix `name` whose largest magnitude is given. Embeddings and heads get none: other readers of their files look up
  /// rows without it.
  static SecondScale of(const Format& format, std::string_view name, float largest);
  static bool wanted(const Format& format, std::string_view name);
  /// What blocks are to be made of.
  void take_off(std::span<float> values) const;

  float value = 1, reach = 0;  ///< 0: there is none
};

/// All formats, by name.
std::span<const Format* const> formats();
/// By name, any case. Throws Error{invalid_argument} listing the known names.
const Format& find_format(std::string_view name);
/// The one that claims the group, arranged_format() (quant/arranged.h) for one of a packed file. Throws Error{unsupported} naming
/// the tensors, their types and the formats known.
const Format& format_of(const TensorGroup& group);

}  // namespace gale
