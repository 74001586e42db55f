#pragma once
#include <functional>
#include <memory>

#include "checkpoint/checkpoint.h"
#include "engine/quant_recipe.h"
#include "engine/weight_plan.h"
#include "gale/engine.h"

namespace gale {

class ThreadPool;

/// How calibrate() runs the model.
struct CalibrationRun {
  ThreadPool& pool;
  std::string isa = {};
  bool exact = false;
  std::function<void(int64_t done, int64_t total)> progress = {};  ///< windows of text
};

/// The checkpoint with every matrix made that the plan wants in a format whose codes make up for each other's errors
/// (Format::quantize_by): GPTQ's. For that a text runs through the model, recipe.calibrate or a small one that is built in, and
/// what goes into each matrix is summed up; experts see what is routed to them. Layers go in turn, each with those before it made
/// already, as Frantar et al. do it. Its weights as they are and what is made of them are in memory together, and the sums of a
/// layer, 4 columns^2 bytes for every different input. The same for any number of threads. Notes in the plan what somebody
/// should know. `source` itself where nothing wants such a format, or no text can be read because there is no tokenizer: formats
/// then round to nearest. Throws Error.
std::shared_ptr<const Checkpoint> calibrate(const std::shared_ptr<const Checkpoint>& source, const QuantRecipe& recipe,
                                            WeightPlan& plan, const CalibrationRun& run);

}  // namespace gale
