#pragma once
#include <array>
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace gale {

/// Up to four dimensions, the last one contiguous in memory.
class Shape {
 public:
  static constexpr int kMaxDims = 4;
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) {
    assert(dims.size() <= kMaxDims);
    for (int64_t d : dims) dims_[size_t(rank_++)] = d;
  }
  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[size_t(i < 0 ? i + rank_ : i)]; }
  int64_t elements() const {
    int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= dims_[size_t(i)];
    return n;
  }
  bool operator==(const Shape&) const = default;
  std::string text() const {
    std::string out = "[";
    for (int i = 0; i < rank_; ++i) out += (i ? ", " : "") + std::to_string(dims_[size_t(i)]);
    return out + "]";
  }

 private:
  std::array<int64_t, kMaxDims> dims_{};
  int rank_ = 0;
};

}  // namespace gale
