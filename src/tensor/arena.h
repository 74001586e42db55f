#pragma once
#include <cstddef>
#include <deque>
#include <map>
#include <vector>

#include "tensor/tensor.h"

namespace gale {

/// Memory of one step's activations: one block got at load, cut into pieces that return when their last Tensor goes. No system
/// call and no malloc in a step. Belongs to the engine thread.
///
/// An arena without memory (`Arena::measuring()`) hands out tensors without bytes and only keeps count: a forward pass over it
/// computes nothing and tells, through peak(), how large the real one must be.
class Arena {
 public:
  explicit Arena(size_t capacity);
  static Arena measuring() { return Arena(); }
  Arena(Arena&&) = default;
  ~Arena();

  bool is_measuring() const { return !memory_; }
  /// A tensor with undefined contents, aligned to 64 bytes. The engine sizes the arena so that
  /// this cannot fail; if it was measured too small all the same, Error{internal} ends the step, not the process.
  Tensor tensor(Shape shape, DType dtype);
  StorageRef bytes(size_t n);
  size_t capacity() const { return capacity_; }
  size_t peak() const { return peak_; }

 private:
  class Block;
  struct Pool;
  Arena();

  StorageRef memory_;
  size_t capacity_ = 0, peak_ = 0;
  std::unique_ptr<Pool> pool_;
};

}  // namespace gale
