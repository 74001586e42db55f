#pragma once
#include "tensor/storage.h"

namespace gale {

/// Cuts pieces from large blocks of huge pages, so that small matrices too lie in them: with 4 KiB pages, and inside a virtual
/// machine above all, reading weights waits for address translation more than for memory. A block goes when its last piece does.
class Slabs {
 public:
  /// Zeroed, aligned to 64 bytes. Throws Error{out_of_memory}.
  StorageRef take(size_t bytes);

 private:
  StorageRef slab_;
  size_t used_ = 0;
};

}  // namespace gale
