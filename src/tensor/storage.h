#pragma once
#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include "tensor/dtype.h"

namespace gale {

/// Owns bytes: heap, a mapped file, an arena block, device memory. Shared through StorageRef.
class Storage {
 public:
  virtual ~Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  Device device() const { return device_; }

 protected:
  Storage(std::byte* data, size_t size, Device device) : data_(data), size_(size), device_(device) {}
  /// Called when the last reference goes. Heap-like storages delete themselves, an arena takes its block back.
  virtual void release() { delete this; }

  std::byte* data_;
  size_t size_;
  Device device_;

 private:
  friend class StorageRef;
  std::atomic<int> references_{0};
};

/// Counted reference to a Storage; null is allowed.
class StorageRef {
 public:
  StorageRef() = default;
  explicit StorageRef(Storage* storage) : storage_(storage) {
    if (storage_) storage_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  StorageRef(const StorageRef& other) : StorageRef(other.storage_) {}
  StorageRef(StorageRef&& other) noexcept : storage_(std::exchange(other.storage_, nullptr)) {}
  StorageRef& operator=(StorageRef other) noexcept {
    std::swap(storage_, other.storage_);
    return *this;
  }
  ~StorageRef() {
    if (storage_ && storage_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) storage_->release();
  }

  Storage* get() const { return storage_; }
  Storage* operator->() const { return storage_; }
  explicit operator bool() const { return storage_ != nullptr; }

 private:
  Storage* storage_ = nullptr;
};

/// Zeroed heap memory, aligned to a page; from 2 MiB up to a huge page, and huge pages are asked for.
/// Throws Error{out_of_memory} naming the size.
StorageRef heap_storage(size_t bytes);
/// Bytes somebody else owns, kept alive by `owner`. They must not be written through the tensor.
StorageRef borrowed_storage(const std::byte* data, size_t bytes, std::shared_ptr<const void> owner);

}  // namespace gale
