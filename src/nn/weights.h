#pragma once
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "quant/format.h"
#include "tensor/slabs.h"

namespace gale {

class ThreadPool;

/// Experts of one kind, each a matrix [out, in].
struct ExpertsShape {
  int64_t experts = 0, out = 0, in = 0;
};

/// A matrix as it was loaded, by its name in the checkpoint; "model.layers.0.mlp.experts.up_proj" are those of all experts.
struct LoadedWeight {
  std::string name;                            ///< without ".weight"
  std::string format;                          ///< that its values are in now: "q4_k", "gptq"
  std::shared_ptr<const PackedMatrix> matrix;  ///< one of these
  std::shared_ptr<const ExpertMatrix> experts;
};

/// Reads the tensors of a checkpoint into the kernels' layouts: one at a time, in parallel inside each, so that the peak is what
/// is packed plus a little. Those of a packed file are in them already and are used where they lie. Names that are missing or
/// misshapen are noted, not thrown, until finish() reports all of them at once.
class Loader {
 public:
  /// Given the name, rows and columns of a matrix: the format to re-quantize it to, or nullptr to keep the file's.
  using Requantize = std::function<const Format*(std::string_view name, int64_t rows, int64_t columns)>;
  /// A weight that was made: a matrix, all experts of one kind, or a vector.
  struct Made {
    std::string name;            ///< of the tensor that it would be read from again
    Shape shape;                 ///< [n], [rows, columns] or [experts, out, in]
    TensorType type;             ///< that the values had last
    const PackedMatrix* matrix;  ///< nullptr for a vector
    const Tensor* vector;        ///< nullptr for a matrix
    bool ordered;                ///< its columns have an order of their own
  };
  /// Mean squared inputs, f32 [columns], of a matrix that is re-quantized to `target`: they weigh its errors. Empty where nothing
  /// is known. `expert`: of the tensor `name` that holds all of them, else -1.
  using ImportanceOf =
      std::function<std::vector<float>(std::string_view name, int64_t expert, int64_t columns, const Format& target)>;
  struct Options {
    Requantize requantize;
    ImportanceOf importance = {};
    const CpuKernels* cpu = &cpu_kernels(isa_to_run(detect_cpu()));  ///< what it is done with; all give the same bytes
    bool shape_only = false;                                         ///< no bytes are read or packed: for sizing
    std::function<void(int64_t done, int64_t total)> progress;       ///< bytes of the file read so far
    std::function<void(const Made&)> sink = {};  ///< gets each weight, and matrices are let go after: for writing them to a file
  };

  Loader(std::shared_ptr<const Checkpoint> checkpoint, ThreadPool& pool, Options options);
  ~Loader();

  /// The matrix `name`, packed, from all tensors below that name (see group_of in quant/format.h); shared where it is asked for
  /// twice (tied heads). nullptr where the checkpoint has none. rows, columns: what the model expects, 0: anything.
  std::shared_ptr<const PackedMatrix> matrix(const std::string& name, int64_t rows, int64_t columns);
  /// The same matrix of every expert: fused in one tensor [experts, out, in] named `below`.`name`, or one tensor each, named
  /// `below`.E.`name`. All go into one layout. nullptr, and the problem noted, where they are not all there.
  std::shared_ptr<const ExpertMatrix> experts(const std::string& below, std::string_view name, const ExpertsShape& shape);
  /// A vector as f32 on the heap; null where absent. n: entries expected, 0: anything.
  Tensor vector(const std::string& name, int64_t n);
  /// Whether there is a tensor of that name, or a matrix.
  bool has(const std::string& name) const;
  bool has_matrix(const std::string& name) const;
  /// Whether any tensor lies below that name.
  bool has_below(const std::string& name) const { return !checkpoint_->below(name).empty(); }
  void note_missing(const std::string& name);

  /// Throws Error{corrupt} listing the first ten tensors that were missing or misshapen; warns of tensors nobody asked
  /// for, and of weights whose groups fit no kernel.
  void finish();
  /// The largest matrix, nullptr where there is none.
  std::shared_ptr<const PackedMatrix> largest() const;
  /// All matrices, in the order they were asked for.
  const std::vector<LoadedWeight>& loaded() const { return loaded_; }
  int64_t packed_bytes() const { return packed_bytes_; }
  int64_t mapped_bytes() const { return mapped_bytes_; }  ///< of these, what lies in a packed file
  int64_t file_bytes() const { return file_bytes_; }

 private:
  // What is packed, and as what: `target` is nullptr where the file's own format stays.
  struct Source {
    TensorGroup group;
    const Format* format;
    const Format* target;
    Layout layout;
  };
  Source source_of(const TensorGroup& group, int64_t rows, int64_t columns);
  std::shared_ptr<const ExpertMatrix> keep(std::string name, std::string_view format, ExpertMatrix&& all);
  std::shared_ptr<const ExpertMatrix> arranged_experts(const RawTensor& tensor, const ExpertsShape& shape);
  // Where any of them has one: those of all, one after another.
  static StorageRef orders_of(const std::vector<Source>& experts, int64_t columns);
  bool find_experts(const std::string& below, std::string_view name, const ExpertsShape& shape, std::vector<Source>& out);
  static Layout layout_as(const Format& target, int64_t rows, int64_t columns);
  // `expert`: of the fused tensor that the group is one part of, else -1.
  void pack(const TensorGroup& group, const Format& format, const Format* target, int64_t expert, PackedMatrix& out);
  static StorageRef order_as_packed(const TensorGroup& group, const Format& format, const Format* target);
  PackedMatrix arranged(const RawTensor& tensor, int64_t rows, int64_t columns, int64_t stacked = 1);
  StorageRef place(int64_t bytes);
  // Remembers what takes f32 panels although its file has fewer bits: finish() warns of it.
  void note_widened(const TensorGroup& group, const Format* target, const Layout& layout, int64_t weights);
  // `order`: of its columns, or of those of all experts.
  void made(std::string name, Shape shape, TensorType type, PackedMatrix& matrix, const StorageRef& order);

  std::shared_ptr<const Checkpoint> checkpoint_;
  ThreadPool& pool_;
  Options options_;
  std::unordered_map<std::string, std::shared_ptr<const PackedMatrix>> packed_;
  std::vector<LoadedWeight> loaded_;
  Slabs slabs_;
  StorageRef reused_;  // where there is a sink: each matrix in turn
  std::set<std::string> used_;
  std::vector<std::string> problems_;
  std::string widened_;                                            // the first one
  int64_t widened_count_ = 0, widened_from_ = 0, widened_to_ = 0;  // bytes
  int64_t packed_bytes_ = 0, mapped_bytes_ = 0, file_bytes_ = 0, total_bytes_ = 0;
};

/// A checkpoint seen from a prefix: weights["model"]["layers"][3].linear("q_proj").
class Weights {
 public:
  explicit Weights(Loader& loader, std::string prefix = "") : loader_(&loader), prefix_(std::move(prefix)) {}
  Weights operator[](std::string_view child) const { return Weights(*loader_, path(child)); }
  Weights operator[](int64_t index) const { return Weights(*loader_, path(std::to_string(index))); }

  /// weights[name][0] to [count - 1]. Ends before the first of which the checkpoint has nothing at all, and notes that one as
  /// missing: a config may ask for more layers than there is memory to list.
  std::vector<Weights> layers(std::string_view name, int64_t count) const;

  /// With its bias where the checkpoint has one. out, in: what the model expects, 0: anything.
  Linear linear(std::string_view name, int64_t out = 0, int64_t in = 0) const;
  Linear maybe_linear(std::string_view name, int64_t out = 0, int64_t in = 0) const;
  /// `name` of every expert below this prefix; nullptr where it is not there, which finish() reports.
  std::shared_ptr<const ExpertMatrix> experts(std::string_view name, const ExpertsShape& shape) const;
  RmsNorm norm(std::string_view name, float eps, int64_t width = 0) const;
  RmsNorm maybe_norm(std::string_view name, float eps, int64_t width = 0) const;
  Embedding embedding(std::string_view name, int64_t vocab, int64_t width) const;
  /// f32 vector under its full name, null where absent.
  Tensor maybe_vector(std::string_view name) const { return loader_->vector(path(name), 0); }

 private:
  std::string path(std::string_view child) const {
    return prefix_.empty() ? std::string(child) : prefix_ + "." + std::string(child);
  }
  Loader* loader_;
  std::string prefix_;
};

}  // namespace gale
