#include "tensor/arena.h"

#include <algorithm>
#include <limits>

#include "base/checked.h"

namespace gale {

struct Arena::Pool {
  struct Gap {
    size_t offset, size;
  };
  std::vector<Gap> gaps;                       // free pieces, by offset, never touching each other
  std::vector<std::unique_ptr<Block>> blocks;  // every Block ever made
  std::vector<Block*> idle;                    // those without a piece

  size_t take(size_t size);
  bool claim(size_t offset, size_t size);
  void give(size_t offset, size_t size);
};

class Arena::Block final : public Storage {
 public:
  explicit Block(Pool& pool) : Storage(nullptr, 0, Device{}), pool_(pool) {}
  void assign(std::byte* data, size_t size, size_t offset, size_t taken) {
    data_ = data;
    size_ = size;
    offset_ = offset;
    taken_ = taken;
  }

 private:
  void release() override {
    pool_.give(offset_, taken_);
    pool_.idle.push_back(this);
  }
  Pool& pool_;
  size_t offset_ = 0, taken_ = 0;
};

// First fit: the lowest place that is large enough.
size_t Arena::Pool::take(size_t size) {
  for (size_t i = 0; i < gaps.size(); ++i) {
    if (gaps[i].size < size) continue;
    const size_t offset = gaps[i].offset;
    gaps[i].offset += size;
    gaps[i].size -= size;
    if (gaps[i].size == 0) gaps.erase(gaps.begin() + ptrdiff_t(i));
    return offset;
  }
  return std::numeric_limits<size_t>::max();
}

// Exactly there, or not at all.
bool Arena::Pool::claim(size_t offset, size_t size) {
  size_t i = 0;
  while (i < gaps.size() && gaps[i].offset + gaps[i].size < offset + size) ++i;
  if (i == gaps.size() || gaps[i].offset > offset) return false;
  const Gap before{gaps[i].offset, offset - gaps[i].offset};
  gaps[i] = {offset + size, gaps[i].offset + gaps[i].size - (offset + size)};
  if (gaps[i].size == 0) gaps.erase(gaps.begin() + ptrdiff_t(i));
  if (before.size > 0) gaps.insert(gaps.begin() + ptrdiff_t(i), before);
  return true;
}

void Arena::Pool::give(size_t offset, size_t size) {
  size_t i = 0;
  while (i < gaps.size() && gaps[i].offset < offset) ++i;
  gaps.insert(gaps.begin() + ptrdiff_t(i), {offset, size});
  if (i + 1 < gaps.size() && gaps[i].offset + gaps[i].size == gaps[i + 1].offset) {
    gaps[i].size += gaps[i + 1].size;
    gaps.erase(gaps.begin() + ptrdiff_t(i) + 1);
  }
  if (i > 0 && gaps[i - 1].offset + gaps[i - 1].size == gaps[i].offset) {
    gaps[i - 1].size += gaps[i].size;
    gaps.erase(gaps.begin() + ptrdiff_t(i));
  }
}

Arena::Arena(size_t capacity) : memory_(heap_storage(capacity)), capacity_(capacity), pool_(std::make_unique<Pool>()) {
  pool_->gaps.reserve(256);
  pool_->gaps.push_back({0, capacity});
}

Arena::Arena(Plan plan) : Arena(plan.bytes) {
  plan_ = std::move(plan);
  planned_ = true;
}

Arena::Arena() : capacity_(size_t(1) << 60), measuring_(true), pool_(std::make_unique<Pool>()) {
  pool_->gaps.push_back({0, capacity_});
}

Arena::~Arena() = default;

void Arena::begin_step() {
  next_ = 0;
  if (measuring_) plan_ = {};
}

size_t Arena::place(size_t size) {
  if (planned_) {
    if (next_ < plan_.requests.size()) {
      const Place& planned = plan_.requests[next_++];
      if (size <= planned.size && pool_->claim(planned.offset, size)) return planned.offset;
    }
    ++strays_;
  }
  const size_t offset = pool_->take(size);
  if (measuring_) {
    plan_.requests.push_back({offset, size});
    plan_.bytes = std::max(plan_.bytes, offset + size);
  }
  return offset;
}

StorageRef Arena::bytes(size_t n) {
  const size_t taken = size_t(round_up(int64_t(std::max<size_t>(n, 1)), 64));
  const size_t offset = place(taken);
  require(offset != std::numeric_limits<size_t>::max(), ErrorCode::internal,
          "an activation of {} bytes does not fit the arena of {}, which was measured too small", n, capacity_);
  peak_ = std::max(peak_, offset + taken);
  if (pool_->idle.empty()) {
    pool_->blocks.push_back(std::make_unique<Block>(*pool_));
    pool_->idle.push_back(pool_->blocks.back().get());
  }
  Block* block = pool_->idle.back();
  pool_->idle.pop_back();
  block->assign(memory_ ? memory_->data() + offset : nullptr, n, offset, taken);
  return StorageRef(block);
}

Tensor Arena::tensor(Shape shape, DType dtype) {
  return Tensor(shape, dtype, bytes(size_t(shape.elements() * dtype_size(dtype))));
}

}  // namespace gale
