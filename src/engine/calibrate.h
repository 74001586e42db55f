#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

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
  int64_t sums_bytes = 0;                                          ///< memory for sums at a time; 0: a quarter of what is free
  std::function<void(int64_t done, int64_t total)> progress = {};  ///< bytes of weights that windows of text run through
};

/// The checkpoint with every matrix made that the plan wants in a format whose codes make up for each other's errors
/// (Format::quantize_by): GPTQ's. For that a text runs through the model, recipe.calibrate or a small one that is built in, and
/// what goes into each matrix is summed up; experts see what is routed to them. It runs as often as it takes for the sums, 4
/// columns^2 bytes for every different input, to fit a part of the free memory; the model as it is and what is made of
/// it are in memory together. The same bytes however often, and for any number of threads. Notes in the plan what somebody should
/// know. `source` itself where nothing wants such a format, or no text can be read because there is no tokenizer: formats then
/// round to nearest. Throws Error.
std::shared_ptr<const Checkpoint> calibrate(const std::shared_ptr<const Checkpoint>& source, const QuantRecipe& recipe,
                                            WeightPlan& plan, const CalibrationRun& run);
/// The same by tokens, window by window. REQUIRES: at least one window, none of them empty.
using TokenWindows = std::vector<std::vector<int32_t>>;
std::shared_ptr<const Checkpoint> calibrate(const std::shared_ptr<const Checkpoint>& source, const TokenWindows& windows,
                                            WeightPlan& plan, const CalibrationRun& run);

}  // namespace gale
