#pragma once
#include <cstddef>
#include <span>
#include <vector>

/// Passes over all of a vocabulary, written so that any compiler makes vectors of them. Each adds in one fixed order: the same
/// bits on every machine.
namespace gale::sampling {

/// Elements that have a sum of their own, for a draw to find its place.
inline constexpr size_t kSumBlock = 2048;
/// Elements that have a largest of their own, for a search to pass over.
inline constexpr size_t kMaxBlock = 32;

/// The largest of every kMaxBlock keys. REQUIRES: no NaN.
void block_maxima(std::span<const float> keys, std::vector<float>& out);

/// weights[i] = e^(logits[i] - largest) within 2 units in the last place, 0 below e^-87; sums[i]: of each kSumBlock. Returns the
/// sum of all. REQUIRES: no NaN, none above `largest`, which is finite.
double exponentials(std::span<const float> logits, float largest, std::vector<float>& weights, std::vector<double>& sums);

/// Shannon entropy in nats of the distribution that weights and their sum stand for.
double entropy(std::span<const float> logits, float largest, std::span<const float> weights, double total);

}  // namespace gale::sampling
