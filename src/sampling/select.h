#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// Finding the largest of many keys without sorting them: the largest of every block (softmax.h) says where they are.
namespace gale::sampling {

struct Ranked {
  float key;
  uint32_t index;
};
/// Largest key first, ties by index: the one order of this room.
inline bool before(const Ranked& a, const Ranked& b) { return a.key != b.key ? a.key > b.key : a.index < b.index; }

/// Keys f32 [n], no NaN among them, and their block_maxima.
struct Keys {
  std::span<const float> values, maxima;
};

/// What is kept: keys above `key`, and the first `equal` of those that equal it.
struct Cut {
  float key;
  size_t equal;
};

/// Memory that searches reuse.
struct SelectScratch {
  std::vector<float> maxima, keys, other_keys;
  std::vector<int32_t> bins;
  std::vector<Ranked> ranked;
};

/// scratch.ranked: at least the n largest (fewer only where there are not so many), every key above the least of them included,
/// in no order.
void gather(const Keys& keys, size_t n, SelectScratch& scratch);
/// scratch.ranked: the n largest, in order.
void rank(const Keys& keys, size_t n, SelectScratch& scratch);

/// scratch.keys: all of them, largest first.
void sort_all(std::span<const float> keys, SelectScratch& scratch);

/// The n largest. REQUIRES: n >= 1.
Cut cut_at_count(const Keys& keys, size_t n, SelectScratch& scratch);
/// The fewest of the largest whose weights add up to `mass`; all where they do not. weights[i] belongs to keys.values[i].
Cut cut_at_mass(const Keys& keys, std::span<const float> weights, double mass, SelectScratch& scratch);

}  // namespace gale::sampling
