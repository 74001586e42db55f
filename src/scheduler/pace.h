#pragma once
#include <algorithm>
#include <cstdint>

namespace gale {

/// How many rows a step may have so that it takes no longer than it should: learned from the steps before it, whatever machine
/// and model these ran on.
class Pace {
 public:
  static constexpr int64_t kLeast = 16;  ///< rows that prompts get however slow the machine is and however many decode

  /// `seconds`: of a step; `most`: rows.
  Pace(double seconds, int64_t most) : seconds_(seconds), most_(double(most)), rows_(double(most)) {}

  int64_t rows() const { return int64_t(rows_); }

  /// A step of so many rows took so long. Time is about a + b x rows: where steps have the rows allowed, rows x wanted / taken
  /// settles where both are equal. Smaller steps than allowed say only that more would be too slow.
  void took(int64_t rows, double seconds) {
    if (rows < kLeast || seconds <= 0) return;
    const double fitting = double(rows) * seconds_ / seconds;
    const bool tried = double(rows) > 0.8 * rows_;
    if (fitting < rows_ || tried)
      rows_ = std::clamp(std::clamp(fitting, rows_ / 4, rows_ * 1.5), double(kLeast), std::max(most_, double(kLeast)));
  }

 private:
  double seconds_, most_, rows_;
};

}  // namespace gale
