#include "tensor/storage.h"

#include <sys/mman.h>

#include "base/checked.h"

namespace gale {
namespace {

// Anonymous mappings are zeroed by the system and given back at once; small blocks share malloc's pages.
class HeapStorage final : public Storage {
 public:
  explicit HeapStorage(size_t bytes) : Storage(nullptr, bytes, Device{}) {
    if (bytes == 0) return;
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(memory != MAP_FAILED, ErrorCode::out_of_memory, "cannot get {} bytes of memory", bytes);
    if (bytes >= (size_t(4) << 20)) ::madvise(memory, bytes, MADV_HUGEPAGE);
    data_ = static_cast<std::byte*>(memory);
  }
  ~HeapStorage() override {
    if (data_) ::munmap(data_, size_);
  }
};

class BorrowedStorage final : public Storage {
 public:
  BorrowedStorage(const std::byte* data, size_t bytes, std::shared_ptr<const void> owner)
      : Storage(const_cast<std::byte*>(data), bytes, Device{}), owner_(std::move(owner)) {}

 private:
  std::shared_ptr<const void> owner_;
};

}  // namespace

StorageRef heap_storage(size_t bytes) { return StorageRef(new HeapStorage(bytes)); }

StorageRef borrowed_storage(const std::byte* data, size_t bytes, std::shared_ptr<const void> owner) {
  return StorageRef(new BorrowedStorage(data, bytes, std::move(owner)));
}

}  // namespace gale
