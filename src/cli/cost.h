#pragma once
#include <cstdint>
#include <string>

#include "gale/engine.h"
#include "kernels/roofline.h"

namespace gale::cli {

/// What one step costs at least, from the shapes and the file's own types: the ground that shares are measured on.
struct ModelCost {
  double bytes = 0;         ///< of weights read once by every step, in the file's form; all experts of a mixture
  double active_bytes = 0;  ///< of these, what one row needs: its experts only
  double layer_macs = 0;    ///< multiply-adds of one row in the layers, active experts only
  double head_macs = 0;     ///< of one row of logits
  double int8_share = 0;    ///< of the multiply-adds, those on rows rounded to int8,
  double bf16_share = 0;    ///< and to bf16; the rest is f32
  double kv_bytes = 0;      ///< keys and values of one token
};
ModelCost model_cost(const Engine& engine, const EngineOptions& options);

/// The work of something measured.
struct Work {
  double bytes = 0, macs = 0, int8_share = 0, bf16_share = 0;
};
/// Seconds that the machine's limits alone would take over the seconds it took, and which limit it is.
struct Share {
  double share = 0;
  const char* bound = "memory";
};
Share share_of(const Work& work, double seconds, const Roofline& roofline);

}  // namespace gale::cli
