#include "tensor/slabs.h"

#include "base/checked.h"

namespace gale {
namespace {

constexpr size_t kSlabBytes = size_t(32) << 20;
constexpr size_t kOwnBytes = size_t(8) << 20;  // from here on a block of its own wastes little

class Piece final : public Storage {
 public:
  Piece(StorageRef slab, size_t offset, size_t bytes)
      : Storage(slab->data() + offset, bytes, slab->device()), slab_(std::move(slab)) {}

 private:
  StorageRef slab_;
};

}  // namespace

StorageRef Slabs::take(size_t bytes) {
  if (bytes >= kOwnBytes) return heap_storage(bytes);
  if (!slab_ || used_ + bytes > slab_->size()) {
    slab_ = heap_storage(kSlabBytes);
    used_ = 0;
  }
  const size_t offset = used_;
  used_ += size_t(round_up(int64_t(bytes), 64));
  return StorageRef(new Piece(slab_, offset, bytes));
}

}  // namespace gale
