#include "sampling/select.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <numeric>

#include "sampling/softmax.h"

namespace gale::sampling {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

/// Everything of at least `lowest`, passing over the blocks that have nothing of it.
template <class Visit>
void visit_from(const Keys& keys, float lowest, Visit visit) {
  for (size_t block = 0; block < keys.maxima.size(); ++block) {
    if (keys.maxima[block] < lowest) continue;
    const size_t end = std::min(keys.values.size(), (block + 1) * kMaxBlock);
    for (size_t i = block * kMaxBlock; i < end; ++i)
      if (keys.values[i] >= lowest) visit(i);
  }
}

/// A key that n keys reach, or -infinity: the n-th largest of the blocks' own largest.
float reached_by(const Keys& keys, size_t n, SelectScratch& scratch) {
  if (n >= keys.maxima.size() / 2) return kLowest;
  scratch.maxima.assign(keys.maxima.begin(), keys.maxima.end());
  const auto nth = scratch.maxima.begin() + ptrdiff_t(n - 1);
  std::nth_element(scratch.maxima.begin(), nth, scratch.maxima.end(), std::greater<>());
  return *nth;
}

/// Where in the order of `sorted`, from `reached` on, the weights add up to `mass`: sorted.end() where they do not.
std::vector<Ranked>::const_iterator find_mass(const std::vector<Ranked>& sorted, std::span<const float> weights, double reached,
                                              double mass) {
  return std::find_if(sorted.begin(), sorted.end(),
                      [&](const Ranked& r) { return (reached += double(weights[r.index])) >= mass; });
}

/// The cut after `last`, of sorted keys that hold every key equal to it.
Cut cut_after(const std::vector<Ranked>& sorted, std::vector<Ranked>::const_iterator last) {
  const auto first = std::find_if(sorted.begin(), sorted.end(), [&](const Ranked& r) { return r.key == last->key; });
  return {last->key, size_t(last - first) + 1};
}

constexpr Cut kAll{kLowest, SIZE_MAX};

Cut cut_in_order(std::span<const float> weights, double reached, double mass, std::vector<Ranked>& ranked) {
  std::sort(ranked.begin(), ranked.end(), before);
  const auto last = find_mass(ranked, weights, reached, mass);
  return last == ranked.end() ? kAll : cut_after(ranked, last);
}

/// The least key that has a weight.
float least_that_counts(std::span<const float> keys, std::span<const float> weights, float largest) {
  constexpr size_t kLanes = 16;
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, largest);
  const size_t whole = keys.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float key = weights[i + lane] > 0 ? keys[i + lane] : largest;
      lanes[lane] = key < lanes[lane] ? key : lanes[lane];
    }
  for (size_t i = whole; i < keys.size(); ++i)
    if (weights[i] > 0 && keys[i] < lanes[0]) lanes[0] = keys[i];
  return *std::min_element(lanes, lanes + kLanes);
}

/// Flat distributions: the mass of each of kBins ranges of keys, then a sort of the one range in which `mass` is reached.
Cut cut_in_bins(const Keys& keys, std::span<const float> weights, double mass, SelectScratch& scratch) {
  constexpr int32_t kBins = 4096;
  const size_t n = keys.values.size();
  const float largest = *std::max_element(keys.maxima.begin(), keys.maxima.end());
  const float range = largest - least_that_counts(keys.values, weights, largest);
  const float scale = range > 0 ? float(kBins) / range : 0;
  scratch.bins.resize(n);
  const float* values = keys.values.data();
  int32_t* bins = scratch.bins.data();
  for (size_t i = 0; i < n; ++i) {
    const float x = (largest - values[i]) * scale;
    bins[i] = int32_t(x < float(kBins - 1) ? x : float(kBins - 1));  // what is not a number goes last
  }
  double masses[kBins] = {};
  for (size_t i = 0; i < n; ++i) masses[bins[i]] += double(weights[i]);
  double reached = 0;
  int32_t bin = 0;
  while (bin + 1 < kBins && reached + masses[bin] < mass) reached += masses[bin++];
  scratch.ranked.clear();
  for (size_t i = 0; i < n; ++i)
    if (bins[i] == bin) scratch.ranked.push_back({values[i], uint32_t(i)});
  return cut_in_order(weights, reached, mass, scratch.ranked);
}

/// Bits that order as the negated float does, as unsigned numbers: ascending bits are descending floats.
uint32_t descending_bits(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return (bits >> 31) != 0 ? bits : ~bits & 0x7fffffffu;
}

}  // namespace

void gather(const Keys& keys, size_t n, SelectScratch& scratch) {
  scratch.ranked.clear();
  visit_from(keys, reached_by(keys, n, scratch), [&](size_t i) { scratch.ranked.push_back({keys.values[i], uint32_t(i)}); });
}

void rank(const Keys& keys, size_t n, SelectScratch& scratch) {
  gather(keys, n, scratch);
  auto& out = scratch.ranked;
  if (n < out.size()) {
    std::nth_element(out.begin(), out.begin() + ptrdiff_t(n), out.end(), before);
    out.resize(n);
  }
  std::sort(out.begin(), out.end(), before);
}

// A radix sort by 11 bits at a time, the least first.
void sort_all(std::span<const float> keys, SelectScratch& scratch) {
  constexpr uint32_t kDigit = 11, kDigits = 3, kValues = 1u << kDigit;
  uint32_t places[kDigits * kValues] = {};
  for (const float key : keys)
    for (uint32_t digit = 0; digit < kDigits; ++digit)
      ++places[digit * kValues + (descending_bits(key) >> (digit * kDigit)) % kValues];
  scratch.keys.assign(keys.begin(), keys.end());
  scratch.other_keys.resize(keys.size());
  for (uint32_t digit = 0; digit < kDigits; ++digit) {
    uint32_t* place = places + digit * kValues;
    std::exclusive_scan(place, place + kValues, place, 0u);
    for (const float key : scratch.keys) scratch.other_keys[place[(descending_bits(key) >> (digit * kDigit)) % kValues]++] = key;
    scratch.keys.swap(scratch.other_keys);
  }
}

Cut cut_at_count(const Keys& keys, size_t n, SelectScratch& scratch) {
  if (n >= keys.values.size()) return kAll;
  scratch.keys.clear();
  visit_from(keys, reached_by(keys, n, scratch), [&](size_t i) { scratch.keys.push_back(keys.values[i]); });
  const auto nth = scratch.keys.begin() + ptrdiff_t(n - 1);
  std::nth_element(scratch.keys.begin(), nth, scratch.keys.end(), std::greater<>());
  const size_t above = size_t(std::count_if(scratch.keys.begin(), nth, [&](float key) { return key > *nth; }));
  return {*nth, n - above};
}

Cut cut_at_mass(const Keys& keys, std::span<const float> weights, double mass, SelectScratch& scratch) {
  constexpr size_t kFew = 2048;
  if (keys.values.size() <= kFew) {
    gather(keys, keys.values.size(), scratch);
    return cut_in_order(weights, 0, mass, scratch.ranked);
  }
  // The set is nearly always small: the most likely few, then more, and only then all.
  for (const size_t n : {kFew / 64, kFew / 4}) {
    gather(keys, n, scratch);
    if (scratch.ranked.size() > 32 * n) break;  // many that are equal
    double sum = 0;
    for (const Ranked& r : scratch.ranked) sum += double(weights[r.index]);
    if (sum < mass) continue;
    if (const Cut cut = cut_in_order(weights, 0, mass, scratch.ranked); cut.equal != kAll.equal) return cut;
  }
  return cut_in_bins(keys, weights, mass, scratch);
}

}  // namespace gale::sampling
