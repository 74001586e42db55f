#pragma once
#include <array>
#include <cassert>
#include <cstdint>

#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "tensor/storage.h"

namespace gale {

/// Bytes with a shape: row-contiguous, no maths. Copying a Tensor shares its bytes.
///
/// Two things travel with activations:
/// - `rows()`: the row map, i32 [dim 0], that says which batch row each row came from (null: row i is batch row i). Gathers and
///   expert grouping compose it; Linear finds each row's adapter through it.
/// - `form(i)`: rounded forms of the same values (kernels/rounded.h), made once by the producer or the first Linear and reused by
///   the others. A cache of what the values already say, hence mutable.
class Tensor {
 public:
  Tensor() = default;
  Tensor(Shape shape, DType dtype, StorageRef storage, int64_t byte_offset = 0)
      : shape_(shape), dtype_(dtype), storage_(std::move(storage)), offset_(byte_offset) {}

  explicit operator bool() const { return bool(storage_); }
  const Shape& shape() const { return shape_; }
  int64_t dim(int i) const { return shape_[i]; }
  int64_t elements() const { return shape_.elements(); }
  int64_t bytes() const { return elements() * dtype_size(dtype_); }
  DType dtype() const { return dtype_; }
  Device device() const { return storage_ ? storage_->device() : Device{}; }
  const StorageRef& storage() const { return storage_; }

  /// First element. REQUIRES: T has the size of dtype().
  template <class T>
  T* data() const {
    assert(sizeof(T) == size_t(dtype_size(dtype_)));
    return reinterpret_cast<T*>(storage_->data() + offset_);
  }
  /// Same bytes under another shape of the same element count; keeps the row map where dim 0 stays.
  Tensor view(Shape shape) const {
    assert(shape.elements() == elements());
    Tensor out = *this;
    out.shape_ = shape;
    out.forms_ = {};
    if (shape[0] != shape_[0]) out.rows_ = {};
    return out;
  }

  const int32_t* rows() const { return rows_ ? reinterpret_cast<const int32_t*>(rows_->data()) : nullptr; }
  const StorageRef& row_map() const { return rows_; }
  void set_row_map(StorageRef rows) { rows_ = std::move(rows); }
  static constexpr int kForms = 3;
  const StorageRef& form(int i) const { return forms_[size_t(i)]; }
  void set_form(int i, StorageRef form) const { forms_[size_t(i)] = std::move(form); }

 private:
  Shape shape_;
  DType dtype_ = DType::f32;
  StorageRef storage_;
  int64_t offset_ = 0;
  StorageRef rows_;
  mutable std::array<StorageRef, kForms> forms_;
};

/// A zeroed tensor of its own on the heap.
inline Tensor heap_tensor(Shape shape, DType dtype) {
  return Tensor(shape, dtype, heap_storage(size_t(shape.elements() * dtype_size(dtype))));
}

}  // namespace gale
