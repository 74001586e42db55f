#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace gale {

class ThreadPool;

/// What is known of the inputs of a Linear: the sum of x xᵀ over the rows that went through it, GPTQ's Hessian but for a factor.
class InputHessian {
 public:
  explicit InputHessian(int64_t columns);
  /// Adds f32 rows [n, columns]. The same sums for any number of threads.
  void add(const float* rows, int64_t n, ThreadPool& pool);
  int64_t columns() const { return columns_; }
  int64_t rows() const { return rows_; }
  /// f32 [columns, columns]; only the lower triangle is filled.
  const float* sums() const { return sums_.data(); }
  float* sums() { return sums_.data(); }
  int64_t bytes() const { return int64_t(sums_.size() * sizeof(float)); }

 private:
  int64_t columns_, rows_ = 0;
  std::vector<float> sums_;
};

/// In which order GPTQ rounds the columns of a matrix, and what the error of each is worth in those after it. One for all rows.
struct GptqPlan {
  int64_t columns = 0;
  std::vector<int32_t> order;     ///< act-order: the column that is rounded i-th, those of the largest inputs first
  std::vector<float> upper;       ///< [columns, columns], in that order: the upper Cholesky factor of the damped inverse
  std::vector<float> importance;  ///< [columns], as they come: the mean square of the inputs, 0 where none was ever seen

  /// The share of an error in place i that place j > i makes up for.
  float share(int64_t i, int64_t j) const { return upper[size_t(i * columns + j)]; }
};

/// Frantar et al., "GPTQ", 2022, section 3.3: the Cholesky form, with act-order. `damping` of the mean of the diagonal is added
/// to it; where that is not enough for rounded sums to be positive definite, ten times as much, up to the mean. Columns that
/// never saw an input change nothing. Takes 2/3 columns^3 multiply-adds and 4 columns^2 bytes.
/// Throws Error{corrupt} for sums that are no finite numbers.
GptqPlan plan_gptq(const InputHessian& hessian, ThreadPool& pool, float damping = 0.01f);

/// Rounds f32 [rows, columns] column by column, the error of each spread over those that are left. nearest(row, column, value)
/// gives the value that a weight becomes, and remembers what it will; scales are the caller's and stay what they are ("static
/// groups": columns keep their groups whatever the order). Rows do not depend on each other.
template <class Nearest>
void round_by_gptq(const GptqPlan& plan, const float* values, int64_t rows, Nearest&& nearest) {
  constexpr int64_t kLanes = 16;
  const int64_t n = plan.columns;
  std::vector<float> held(static_cast<size_t>(n * kLanes));
  for (int64_t first = 0; first < rows; first += kLanes) {
    const int64_t lanes = std::min(kLanes, rows - first);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t r = 0; r < kLanes; ++r)
        held[size_t(i * kLanes + r)] = r < lanes ? values[(first + r) * n + plan.order[size_t(i)]] : 0.0f;
    for (int64_t i = 0; i < n; ++i) {
      float off[kLanes] = {};
      const float* now = held.data() + i * kLanes;
      for (int64_t r = 0; r < lanes; ++r)
        off[r] = (now[r] - nearest(first + r, int64_t(plan.order[size_t(i)]), now[r])) / plan.share(i, i);
      for (int64_t j = i + 1; j < n; ++j) {
        const float share = plan.share(i, j);
        float* later = held.data() + j * kLanes;
        for (int64_t r = 0; r < kLanes; ++r) later[r] -= off[r] * share;
      }
    }
  }
}

}  // namespace gale
