#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"
#include "tensor/arena.h"

namespace gale {
namespace {

TEST(Arena, PiecesNeverOverlapAndComeBack) {
  Arena arena(1 << 20);
  SplitMix64 random{1};
  std::vector<std::pair<Tensor, uint8_t>> live;
  for (int step = 0; step < 2000; ++step) {
    if (live.size() < 20 && random() % 2) {
      Tensor t = arena.tensor({int64_t(random() % 20000) + 1}, DType::u8);
      const uint8_t mark = uint8_t(step);
      std::fill_n(t.data<uint8_t>(), t.elements(), mark);
      live.emplace_back(std::move(t), mark);
    } else if (!live.empty()) {
      const size_t i = random() % live.size();
      const auto& [t, mark] = live[i];
      EXPECT_EQ(std::count(t.data<uint8_t>(), t.data<uint8_t>() + t.elements(), mark), t.elements());
      EXPECT_EQ(reinterpret_cast<uintptr_t>(t.data<uint8_t>()) % 64, 0u);
      live.erase(live.begin() + ptrdiff_t(i));
    }
  }
  live.clear();
  EXPECT_EQ(arena.tensor({1 << 20}, DType::u8).bytes(), 1 << 20);  // all in one piece again
}

TEST(Arena, MeasuringCountsLikeTheRealOne) {
  Arena real(1 << 20), measuring = Arena::measuring();
  EXPECT_TRUE(measuring.is_measuring());
  const auto walk = [](Arena& a) {
    Tensor kept = a.tensor({100}, DType::f32);
    for (int i = 1; i < 10; ++i) {
      const Tensor x = a.tensor({i * 37}, DType::f32), y = a.tensor({i * 11}, DType::i8);
      kept = a.tensor({i * 5}, DType::f32);
    }
    return a.peak();
  };
  EXPECT_EQ(walk(real), walk(measuring));
}

TEST(Tensor, ViewsShareBytes) {
  const Tensor a = heap_tensor({2, 6}, DType::f32);
  a.data<float>()[7] = 3;
  const Tensor b = a.view({4, 3});
  EXPECT_EQ(b.data<float>()[7], 3);
  EXPECT_EQ(b.shape().text(), "[4, 3]");
  EXPECT_EQ(b.dim(-1), 3);
}

TEST(Storage, BorrowedKeepsItsOwner) {
  auto owner = std::make_shared<std::vector<std::byte>>(8);
  std::weak_ptr<std::vector<std::byte>> watch = owner;
  {
    const StorageRef ref = borrowed_storage(owner->data(), 8, owner);
    owner.reset();
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace gale
