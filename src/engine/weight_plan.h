#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "engine/quant_recipe.h"
#include "engine/topology.h"
#include "nn/weights.h"
#include "quant/imatrix.h"
#include "quant/policy.h"

namespace gale {

class Importance;

/// The files of a recipe.
struct QuantFiles {
  std::string topology;  ///< the text of the file
  ImportanceMatrix importance;
};

/// N of "model.layers.N.", -1 outside the layers.
int layer_number(std::string_view name);

/// A recipe bound to one model: which format each of its tensors gets, and what is known of how much its columns matter.
class WeightPlan {
 public:
  WeightPlan(const QuantRecipe& recipe, int64_t layers, bool tied_head);
  static WeightPlan of(const QuantRecipe& recipe, const Checkpoint& checkpoint);
  WeightPlan(WeightPlan&&) noexcept;
  WeightPlan& operator=(WeightPlan&&) noexcept;
  ~WeightPlan();

  /// `name` with its ".weight". nullptr: it stays what it is.
  const Format* choice(std::string_view name, int64_t rows, int64_t columns) { return chosen(name, rows, columns).format; }
  /// The same for a tensor that gets it: what message() has to say of that is noted.
  const Format* choose(std::string_view name, int64_t rows, int64_t columns);
  /// f32 [columns]; empty where nothing is known. `name` without ".weight"; `expert`: of a fused tensor, else -1.
  std::vector<float> importance(std::string_view name, int64_t expert, int64_t columns, const Format& target);
  /// Adds a line to message().
  void note(const std::string& line);
  /// Notes that this weight is quantized anew: what was rounded once is rounded again.
  void requantizes(const TensorGroup& from, const Format& to);

  std::string_view type() const { return policy_ ? policy_->name() : std::string_view(); }
  /// Everything that was not as asked for, or that somebody should know, one line each; "" where there is nothing.
  std::string message() const;

 private:
  QuantPolicy::Choice chosen(std::string_view name, int64_t rows, int64_t columns);
  QuantPolicy::Tensor tensor(std::string_view name, int64_t rows, int64_t columns) const;
  const QuantPolicy& pinned(std::string_view type);

  std::optional<QuantPolicy> policy_;
  std::optional<Topology> topology_;
  std::map<std::string, QuantPolicy, std::less<>> pinned_;
  std::unique_ptr<Importance> importance_;
  QuantFallbacks fallbacks_;
  int layers_;
  bool tied_head_, experts_only_, met_experts_ = false;
  std::set<std::string_view> unweighted_;  // formats that make no use of importance
  std::string unknown_;                    // the first tensor that the importance matrix says nothing of
  int64_t known_ = 0, unknown_count_ = 0, twice_ = 0;
  std::string first_twice_, notes_;
};

/// Re-quantizes matrices as the plan says, but for those `checkpoint` already has in that format; weighted by importance where
/// the plan has it. `source`: what calibrate() made the checkpoint from, or the same. All must outlive the loader.
void requantize(WeightPlan& plan, const Checkpoint& source, const Checkpoint& checkpoint, Loader::Options& options);

}  // namespace gale
