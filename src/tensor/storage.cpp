#include "tensor/storage.h"

#include <sys/mman.h>

#include "base/checked.h"

namespace gale {
namespace {

constexpr size_t kHugePage = size_t(2) << 20;

// Anonymous mappings are zeroed by the system and given back at once. Large ones start and end on huge pages and ask for them.
class HeapStorage final : public Storage {
 public:
  explicit HeapStorage(size_t bytes) : Storage(nullptr, bytes, Device{}) {
    if (bytes == 0) return;
    require(bytes <= SIZE_MAX / 2, ErrorCode::out_of_memory, "cannot get {} bytes of memory", bytes);
    const bool huge = bytes >= kHugePage;
    const size_t wanted = huge ? (bytes + kHugePage - 1) / kHugePage * kHugePage : bytes;
    mapped_ = huge ? wanted + kHugePage : wanted;
    mapping_ = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(mapping_ != MAP_FAILED, ErrorCode::out_of_memory, "cannot get {} bytes of memory", bytes);
    data_ = static_cast<std::byte*>(mapping_);
    if (!huge) return;
    data_ += (kHugePage - reinterpret_cast<uintptr_t>(data_) % kHugePage) % kHugePage;
    ::madvise(data_, wanted, MADV_HUGEPAGE);
  }
  ~HeapStorage() override {
    if (data_) ::munmap(mapping_, mapped_);
  }

 private:
  void* mapping_ = nullptr;
  size_t mapped_ = 0;
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
