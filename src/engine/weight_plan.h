#pragma once
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "nn/weights.h"
#include "quant/policy.h"

namespace gale {

/// A quantization policy bound to one model: which format each of its tensors gets.
class WeightPlan {
 public:
  /// `type` as in --quant and --type: a format, a mix, or a number of bits ("2" is q2_k, "3" q3_k_m, "4" q4_k_m, "5" q5_k_m, "6"
  /// q6_k, "8" q8_0). Throws Error{invalid_argument} listing the names.
  WeightPlan(std::string_view type, int64_t layers, bool tied_head);
  static WeightPlan of(std::string_view type, const Checkpoint& checkpoint);

  /// `name` with its ".weight".
  const Format& choose(std::string_view name, int64_t rows, int64_t columns);
  std::string_view type() const { return policy_.name(); }
  /// What could not be had, in one line; "" where every tensor got what was wanted.
  std::string message() const { return fallbacks_.message(); }

 private:
  QuantPolicy policy_;
  QuantFallbacks fallbacks_;
  int layers_;
  bool tied_head_;
};

/// Re-quantizes matrices as the plan says, but for those the file already has in that format. Both must outlive the result.
Loader::Requantize requantize(WeightPlan& plan, const Checkpoint& checkpoint);

}  // namespace gale
