#include "quant/gptq.h"

#include <cmath>
#include <numeric>

#include "base/checked.h"
#include "base/fail.h"
#include "base/threads.h"

namespace gale {
namespace {

constexpr int64_t kTile = 64;
constexpr int64_t kPanel = 16;  // columns

/// H in the order of the plan, from the last column to the first, so that factoring it from its first row on is factoring the
/// inverse from its last. Lower triangle.
std::vector<float> reversed(const InputHessian& hessian, const std::vector<int32_t>& order, double added) {
  const int64_t n = hessian.columns();
  std::vector<float> out(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i) {
    const int64_t a = order[size_t(n - 1 - i)];
    for (int64_t j = 0; j <= i; ++j) {
      const int64_t b = order[size_t(n - 1 - j)];
      out[size_t(i * n + j)] = hessian.sums()[std::max(a, b) * n + std::min(a, b)];
    }
    float& own = out[size_t(i * n + i)];
    own = own > 0 ? float(double(own) + added) : 1.0f;  // a column without inputs: errors there cost nothing and spread nowhere
  }
  return out;
}

/// to[n] -= a x from[n].
void subtract(float* to, const float* from, float a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] -= a * from[i];
}

/// The lower Cholesky factor in place; false where it is not positive definite. Tiles of columns: within one column by column,
/// then what it takes off the rows below.
bool factor(std::vector<float>& l, int64_t n, ThreadPool& pool) {
  std::vector<float> across(static_cast<size_t>(kTile * n));  // the tile's columns as rows
  for (int64_t tile = 0; tile < n; tile += kTile) {
    const int64_t end = std::min(tile + kTile, n);
    for (int64_t k = tile; k < end; ++k) {
      const float pivot = l[size_t(k * n + k)];
      if (!(pivot > 0) || !std::isfinite(pivot)) return false;
      const float root = std::sqrt(pivot);
      l[size_t(k * n + k)] = root;
      for (int64_t i = k + 1; i < end; ++i) l[size_t(i * n + k)] /= root;
      for (int64_t i = k + 1; i < end; ++i)
        for (int64_t j = k + 1; j <= i; ++j) l[size_t(i * n + j)] -= l[size_t(i * n + k)] * l[size_t(j * n + k)];
    }
    pool.for_each(n - end, 8, [&](int64_t first, int64_t last) {
      for (int64_t i = end + first; i < end + last; ++i) {
        float* row = l.data() + i * n;
        for (int64_t k = tile; k < end; ++k) {
          for (int64_t j = tile; j < k; ++j) row[k] -= row[j] * l[size_t(k * n + j)];
          row[k] /= l[size_t(k * n + k)];
          across[size_t((k - tile) * n + i)] = row[k];
        }
      }
    });
    pool.for_each(n - end, 8, [&](int64_t first, int64_t last) {
      for (int64_t i = end + first; i < end + last; ++i)
        for (int64_t k = tile; k < end; ++k)
          subtract(l.data() + i * n + end, across.data() + (k - tile) * n + end, l[size_t(i * n + k)], i + 1 - end);
    });
  }
  return true;
}

/// The inverse of a lower triangle: row i is (e_i - the rows before it, by l) / l_ii. Tiles of columns are independent.
std::vector<float> inverse(const std::vector<float>& l, int64_t n, ThreadPool& pool) {
  std::vector<float> out(static_cast<size_t>(n * n));
  pool.for_each(ceil_div(n, kTile), 1, [&](int64_t first, int64_t last) {
    for (int64_t tile = first * kTile; tile < std::min(last * kTile, n); tile += kTile) {
      const int64_t end = std::min(tile + kTile, n);
      for (int64_t i = tile; i < n; ++i) {
        float* row = out.data() + i * n;
        if (i < end) row[i] = 1;
        for (int64_t k = tile; k < i; ++k)
          subtract(row + tile, out.data() + k * n + tile, l[size_t(i * n + k)], std::min(end, k + 1) - tile);
        for (int64_t j = tile; j < std::min(end, i + 1); ++j) row[j] /= l[size_t(i * n + i)];
      }
    }
  });
  return out;
}

/// to[count] += the sum over n rows of a[row] x[row]; rows are panels.
void add_products(const float* a, const float* x, int64_t n, float* to, int64_t count) {
  float sums[kPanel] = {};
  std::copy_n(to, count, sums);
  for (int64_t r = 0; r < n; ++r)
    for (int64_t j = 0; j < kPanel; ++j) sums[j] += a[r * kPanel] * x[r * kPanel + j];
  std::copy_n(sums, count, to);
}

}  // namespace

InputHessian::InputHessian(int64_t columns) : columns_(columns), sums_(static_cast<size_t>(columns * columns)) {}

void InputHessian::add(const float* rows, int64_t n, ThreadPool& pool) {
  // Columns in panels, a row after the other: what a product reads lies together, and no two columns share a set of the cache.
  const int64_t panels = ceil_div(columns_, kPanel);
  std::vector<float> x(static_cast<size_t>(panels * n * kPanel));
  pool.for_each(panels, 4, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p)
      for (int64_t r = 0; r < n; ++r)
        std::copy_n(rows + r * columns_ + p * kPanel, std::min(kPanel, columns_ - p * kPanel), x.data() + (p * n + r) * kPanel);
  });
  pool.for_each(columns_, kPanel, [&](int64_t first, int64_t last) {
    for (int64_t p = 0; p * kPanel < last; ++p)
      for (int64_t i = std::max(first, p * kPanel); i < last; ++i)
        add_products(x.data() + i / kPanel * n * kPanel + i % kPanel, x.data() + p * n * kPanel, n,
                     sums_.data() + i * columns_ + p * kPanel, std::min(kPanel, i + 1 - p * kPanel));
  });
  rows_ += n;
}

GptqPlan plan_gptq(const InputHessian& hessian, ThreadPool& pool, float damping) {
  const int64_t n = hessian.columns();
  GptqPlan out{.columns = n, .order = std::vector<int32_t>(static_cast<size_t>(n)), .upper = {}, .importance = {}};
  double mean = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float own = hessian.sums()[i * n + i];
    require(std::isfinite(own) && own >= 0, ErrorCode::corrupt, "the sum of squares of inputs of column {} is {}", i, own);
    out.importance.push_back(own / float(std::max<int64_t>(hessian.rows(), 1)));
    mean += double(own) / double(n);
  }
  std::iota(out.order.begin(), out.order.end(), 0);
  std::ranges::sort(out.order, {}, [&](int32_t i) { return std::pair(-out.importance[size_t(i)], i); });
  std::vector<float> lower;
  for (double share = double(damping);; share *= 10) {
    lower = reversed(hessian, out.order, share * mean);
    if (factor(lower, n, pool)) break;
    require(share < 1, ErrorCode::corrupt, "sums of products of inputs cannot be factored: they are not those of any inputs");
  }
  // H = U'' U''ᵀ read backwards, so that H⁻¹ = Uᵀ U with U the inverse of U''.
  const std::vector<float> last = inverse(lower, n, pool);
  out.upper.resize(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = i; j < n; ++j) out.upper[size_t(i * n + j)] = last[size_t((n - 1 - i) * n + n - 1 - j)];
  return out;
}

}  // namespace gale
