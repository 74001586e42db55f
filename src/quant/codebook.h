#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "quant/iq.h"
#include "quant/two_level.h"

/// Quantizing to the codebooks of iq2 and iq3. The signs of values are kept apart; their sizes, over a scale, go to the next
/// point of the codebook. That is looked for among few: the point where each size goes to its own next level, if the codebook has
/// it, else those around it.
namespace gale::codebook {

template <int Dims, int Levels>
class Codebook {
 public:
  using Point = std::array<float, Dims>;

  /// Points of 16 bits, as iq_grids.h has them; a table whose first values are the sizes of the levels.
  Codebook(std::span<const uint16_t> points, CodeTable table) {
    for (size_t i = 0; i < Levels; ++i) sizes_[i] = table_values(table)[i];
    std::vector<int> on(kPlaces, -1);
    for (const uint16_t point : points) {
      Point sizes;
      Terms terms;
      int place = 0;
      for (int i = Dims - 1; i >= 0; --i) {
        const int level = point >> (16 / Dims * i) & (Levels == 3 ? 3 : 7);
        sizes[size_t(i)] = sizes_[size_t(level)];
        terms[size_t(i)] = uint8_t(i * Levels + level);
        place = place * Levels + level;
      }
      on[size_t(place)] = int(points_.size());
      points_.push_back(sizes);
      terms_.push_back(terms);
    }
    for (int place = 0; place < kPlaces; ++place) {
      first_.push_back(int(near_.size()));
      if (on[size_t(place)] >= 0)
        near_.push_back(uint16_t(on[size_t(place)]));
      else
        add_near(place);
    }
    first_.push_back(int(near_.size()));
  }

  const Point& operator[](int point) const { return points_[size_t(point)]; }
  float size(int level) const { return sizes_[size_t(level)]; }

  /// The point of the least weighted error for Dims values under a scale > 0.
  int next(const float* x, const float* w, float scale) const {
    const float inverse = 1 / scale;
    int place = 0;
    for (int i = Dims - 1; i >= 0; --i) {
      int level = 0;
      for (size_t l = 1; l < Levels; ++l) level += x[i] * inverse > 0.5f * (sizes_[l - 1] + sizes_[l]);
      place = place * Levels + level;
    }
    const int begin = first_[size_t(place)], end = first_[size_t(place) + 1];
    int best = near_[size_t(begin)];
    if (end - begin == 1) return best;
    float errors[Dims * Levels];  // of each value at each level: points share them
    for (size_t k = 0; k < Dims; ++k)
      for (size_t l = 0; l < Levels; ++l) {
        const float off = x[k] - scale * sizes_[l];
        errors[k * Levels + l] = w[k] * off * off;
      }
    float least = std::numeric_limits<float>::infinity();
    for (int i = begin; i < end; ++i) {
      const Terms& terms = terms_[near_[size_t(i)]];
      float error = 0;
      for (size_t k = 0; k < Dims; ++k) error += errors[terms[k]];
      if (error < least) least = error, best = near_[size_t(i)];
    }
    return best;
  }

 private:
  static constexpr int kPlaces = Levels == 3 ? 6561 : 4096;
  static constexpr size_t kNear = 24;  // points looked at: more gain nothing

  void add_near(int place) {
    Point at;
    for (int i = 0; i < Dims; ++i, place /= Levels) at[size_t(i)] = sizes_[size_t(place % Levels)];
    std::vector<std::pair<float, uint16_t>> all;
    for (size_t p = 0; p < points_.size(); ++p) {
      float distance = 0;
      for (size_t i = 0; i < Dims; ++i) distance += (points_[p][i] - at[i]) * (points_[p][i] - at[i]);
      all.emplace_back(distance, uint16_t(p));
    }
    std::partial_sort(all.begin(), all.begin() + kNear, all.end());
    for (size_t i = 0; i < kNear; ++i) near_.push_back(all[i].second);
  }

  using Terms = std::array<uint8_t, Dims>;  // of a point: where its values' errors are among those of all levels

  std::array<float, Levels> sizes_;
  std::vector<Point> points_;
  std::vector<Terms> terms_;
  std::vector<int> first_;      // [places + 1] into near_
  std::vector<uint16_t> near_;  // of each place: the point itself, or those around it
};

/// A block of 256: value = d * unit * (2 s + 1) * point, d as f16 holds it.
template <int Dims>
struct Found {
  float d = 0;
  int s[16] = {};
  uint16_t points[256 / Dims] = {};
  uint8_t signs[32] = {};
};

/// What stood in a block of F before it was taken apart: 8 values a point have codes of 2 bits and a sign, 4 of 3 bits.
template <class F, int Dims, const auto& Grid>
Found<Dims> found_again(const blocks::JoinedBlock& from) {
  constexpr int kSign = Dims == 8 ? 2 : 3;
  Found<Dims> out;
  out.d = from.top / F::unit;
  for (int g = 0; g < 256 / F::layout.group; ++g) out.s[g] = from.sub[g] / 2;
  for (int p = 0; p < 256 / Dims; ++p) {
    int point = 0;
    for (int i = 0; i < Dims; ++i) point |= (from.codes[p * Dims + i] & ((1 << kSign) - 1)) << (16 / Dims * i);
    out.points[p] = uint16_t(iq::number_of<Grid>(uint16_t(point)));
  }
  for (int i = 0; i < 256; ++i) out.signs[i / 8] |= uint8_t((from.codes[i] >> kSign & 1) << i % 8);
  return out;
}

/// Sizes and signs of 256 values, and the weights of their squared errors.
struct Sizes {
  float x[256], w[256];
  uint8_t signs[32] = {};

  /// `sized`: importance counts together with size, see two_level::with_size().
  /// Even: every eight have an even number of minuses. Where they do not, the value that matters least changes its sign.
  Sizes(const float* values, const float* importance, bool even, bool sized) {
    float both[256];
    if (importance && sized) two_level::with_size<256>(values, importance, both), importance = both;
    float mean = 0;
    for (int i = 0; i < 256; ++i) mean += (importance ? importance[i] : values[i] * values[i]) / 256;
    const float inverse = two_level::inverse_mean(mean, 1);
    for (int i = 0; i < 256; ++i) {
      x[i] = std::fabs(values[i]);
      w[i] = !importance ? std::sqrt(1 + values[i] * values[i] * inverse) : inverse > 0 ? importance[i] * inverse + 1e-3f : 1.0f;
      if (std::signbit(values[i])) signs[i / 8] |= uint8_t(1 << i % 8);
    }
    for (int eight = 0; even && eight < 32; ++eight) {
      if (std::popcount(signs[eight]) % 2 == 0) continue;
      int least = eight * 8;
      for (int i = least; i < eight * 8 + 8; ++i)
        if (w[i] * x[i] * x[i] < w[least] * x[least] * x[least]) least = i;
      x[least] = -x[least];
      signs[eight] ^= uint8_t(1 << least % 8);
    }
  }
};

/// The points of `n` values under a scale, their weighted error and sums for the best scale of these points.
struct Sums {
  float error = 0, xp = 0, pp = 0;
};
template <int Dims, int Levels>
Sums take_points(const Codebook<Dims, Levels>& book, const float* x, const float* w, int n, float scale, uint16_t* points) {
  Sums out;
  for (int first = 0; first < n; first += Dims) {
    const int point = book.next(x + first, w + first, scale);
    points[first / Dims] = uint16_t(point);
    for (int i = 0; i < Dims; ++i) {
      const float p = book[point][size_t(i)], wx = w[first + i] * x[first + i], off = x[first + i] - scale * p;
      out.error += w[first + i] * off * off;
      out.xp += wx * p;
      out.pp += w[first + i] * p * p;
    }
  }
  return out;
}

/// The scale of a group that errs least of those tried, each followed by the best scale of the points it gives; 0 for zeros.
template <int Dims, int Levels>
float group_scale(const Codebook<Dims, Levels>& book, const float* x, const float* w, int n) {
  const float largest = *std::max_element(x, x + n);
  if (!(largest > 1e-30f)) return 0;
  float best = 0, gain = 0;
  uint16_t points[32];
  const auto try_scale = [&](float scale) {
    for (int round = 0; round < 2; ++round) {
      const Sums sums = take_points(book, x, w, n, scale, points);
      if (!(sums.xp > 0)) return;
      scale = sums.xp / sums.pp;
      if (sums.xp * scale > gain) gain = sums.xp * scale, best = scale;
    }
  };
  for (int level = 0; level + 1 < Levels; ++level) try_scale(largest / book.size(level));
  for (int i = -5; i <= 5; ++i) try_scale(largest / (book.size(Levels - 1) * (1 + 0.05f * float(i))));
  return best;
}

template <class F, int Dims, int Levels>
Found<Dims> quantize_block(const Codebook<Dims, Levels>& book, const Sizes& in) {
  constexpr int n = F::layout.group, kGroups = 256 / n, kPoints = n / Dims;
  float scales[kGroups];
  for (int g = 0; g < kGroups; ++g) scales[g] = group_scale(book, in.x + g * n, in.w + g * n, n);
  Found<Dims> out;
  std::copy_n(in.signs, 32, out.signs);
  out.d = f16_to_f32(f32_to_f16(*std::max_element(scales, scales + kGroups) / (31 * F::unit)));
  // d is fitted to the outcome and all is done once more with it.
  for (int round = 0; round < 2 && out.d > 0; ++round) {
    const float base = out.d * F::unit;
    float xp = 0, pp = 0;
    for (int g = 0; g < kGroups; ++g) {
      const int down = std::clamp(int((scales[g] / base - 1) / 2), 0, 14);
      float least = std::numeric_limits<float>::infinity();
      Sums best;
      for (int s = down; s <= down + 1; ++s) {
        uint16_t points[kPoints];
        const Sums sums = take_points(book, in.x + g * n, in.w + g * n, n, base * float(2 * s + 1), points);
        if (!(sums.error < least)) continue;
        least = sums.error;
        best = sums;
        out.s[g] = s;
        std::copy_n(points, kPoints, out.points + g * kPoints);
      }
      const float step = float(2 * out.s[g] + 1);
      xp += step * best.xp;
      pp += step * step * best.pp;
    }
    if (round == 0 && xp > 0)
      if (const float better = f16_to_f32(f32_to_f16(xp / pp / F::unit)); better > 0) out.d = better;
  }
  return out;
}

/// A row of blocks: F::write(found, block) each.
template <class F, int Dims, int Levels>
void quantize(const Codebook<Dims, Levels>& book, bool even_signs, const blocks::BlockRow& row) {
  for (int64_t i = 0; i < row.blocks; ++i) {
    constexpr bool sized = requires { F::sized; };
    const Sizes sizes(row.x + i * 256, row.importance ? row.importance + i * 256 : nullptr, even_signs, sized);
    F::write(quantize_block<F>(book, sizes), row.out + i * F::bytes);
  }
}

}  // namespace gale::codebook
