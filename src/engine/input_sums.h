#pragma once
#include <memory>
#include <unordered_map>
#include <vector>

#include "kernels/watch.h"
#include "nn/weights.h"
#include "quant/gptq.h"

namespace gale {

/// Adds up products of what goes into some matrices of a model, of experts by what is routed to them.
class InputSums final : public InputWatch {
 public:
  /// A matrix, by its place in a list of weights; `expert` 0 where it is no expert.
  struct Matrix {
    size_t weight = 0;
    int64_t expert = 0;
    auto operator<=>(const Matrix&) const = default;
  };
  /// Matrices that read the same input, and so have the same sums. `leader` is any of them.
  struct Input {
    Matrix leader;
    std::vector<Matrix> readers;
    int64_t columns = 0;
    int64_t bytes() const { return columns * columns * int64_t(sizeof(float)); }
  };

  InputSums(const std::vector<LoadedWeight>& weights, ThreadPool& pool);

  /// The inputs of what has run so far, in the order in which the model came to them.
  std::vector<Input> inputs() const;
  /// What runs from here on is added up, for these.
  void start(std::span<const Input> inputs);
  /// The sums of one of them, handed over.
  std::unique_ptr<InputHessian> take(const Input& input);

  void matrix(const PackedMatrix& w, const Tensor& x) override;
  void experts(const ExpertMatrix& w, const Tensor& x, const int32_t* source, const Routing& routing) override;

 private:
  struct Known {
    size_t weight;
    int64_t experts, columns;
  };
  struct Seen {
    Known what;
    uint64_t input;  // hash of its values and their routes
  };
  void see(const Known& what, const Tensor& x, std::span<const int32_t> begin, std::span<const int32_t> source);

  ThreadPool& pool_;
  std::unordered_map<const void*, Known> known_;
  std::vector<Seen> seen_;
  std::unordered_map<size_t, std::vector<std::unique_ptr<InputHessian>>> sums_;  // by the leader's weight, of its experts
  std::vector<float> rows_;                                                      // that one expert gets
};

}  // namespace gale
