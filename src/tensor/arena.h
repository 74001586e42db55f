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
/// computes nothing, and plan() tells where each of its requests would lie. An arena made from the plan of the largest step
/// gives request i of any step the place that request i of the largest one had. Whether smaller steps fit needs no luck then:
/// they make the same requests in the same order, none of them larger (docs/why/memory.md).
class Arena {
 public:
  struct Place {
    size_t offset, size;
  };
  struct Plan {
    std::vector<Place> requests;  ///< in the order they are made
    size_t bytes = 0;             ///< the end of the furthest
  };

  explicit Arena(size_t capacity);
  explicit Arena(Plan plan);
  static Arena measuring() { return Arena(); }
  Arena(Arena&&) = default;
  ~Arena();

  bool is_measuring() const { return measuring_; }
  /// The next request is the first of a step.
  void begin_step();
  /// Where the requests of the step since begin_step() lie.
  const Plan& plan() const { return plan_; }
  /// Requests that did not find their planned place free and large enough and were put where there was room: 0 unless a step
  /// asked for something that the largest step does not ask for.
  int64_t strays() const { return strays_; }

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
  size_t place(size_t size);

  StorageRef memory_;
  size_t capacity_ = 0, peak_ = 0;
  Plan plan_;  // recorded where measuring, obeyed otherwise
  size_t next_ = 0;
  int64_t strays_ = 0;
  bool measuring_ = false, planned_ = false;
  std::unique_ptr<Pool> pool_;
};

}  // namespace gale
