#pragma once
#include "kernels/ops.h"

namespace gale {

/// Sees what goes into every product with a weight, before it is rounded: for calibration. Called on the thread that runs the
/// model, never over a measuring arena; nothing it does changes a bit of what is computed.
class InputWatch {
 public:
  virtual ~InputWatch() = default;
  /// x: f32 [rows, w.columns]
  virtual void matrix(const PackedMatrix& w, const Tensor& x) = 0;
  /// Pair i of the routing has row source[i] of x, f32 [rows, columns]; row i where `source` is nullptr.
  virtual void experts(const ExpertMatrix& w, const Tensor& x, const int32_t* source, const Routing& routing) = 0;
};

namespace ops {

inline void watch(const Ctx& ctx, const PackedMatrix& w, const Tensor& x) {
  if (ctx.watch != nullptr && !ctx.measuring()) ctx.watch->matrix(w, x);
}
inline void watch(const Ctx& ctx, const ExpertMatrix& w, const Tensor& x, const int32_t* source, const Routing& routing) {
  if (ctx.watch != nullptr && !ctx.measuring()) ctx.watch->experts(w, x, source, routing);
}

}  // namespace ops
}  // namespace gale
