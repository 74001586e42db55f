#pragma once
#include "base/threads.h"
#include "kernels/cpu/kernels.h"
#include "kernels/tuning.h"
#include "tensor/arena.h"

namespace gale {

class AdapterSet;
class InputWatch;

/// `exact`: f32 activations, f32 KV, f32 everywhere; goldens use it. `standard`: activations may be rounded to int8 where a
/// weight layout takes them so.
enum class Precision : uint8_t { standard, exact };

/// What every operation needs; passed by reference, never global. Belongs to the engine thread.
/// Over a measuring arena nothing is computed: operations only ask for their outputs.
struct Ctx {
  Arena& arena;
  ThreadPool& pool;
  const CpuKernels& cpu;
  Precision precision = Precision::standard;
  Device device = {};
  const AdapterSet* adapters = nullptr;
  Tuning tuning = {};
  InputWatch* watch = nullptr;  ///< see kernels/watch.h

  bool measuring() const { return arena.is_measuring(); }
  Tensor tensor(Shape shape, DType dtype = DType::f32) const { return arena.tensor(shape, dtype); }
};

}  // namespace gale
