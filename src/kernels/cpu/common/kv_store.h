#pragma once
#include <cstdint>

#include "kernels/cpu/common/attention_lanes.h"
#include "kernels/cpu/common/attention_quads.h"
#include "kernels/cpu/kernels.h"

// Rounds rows of K and V to the cache's type and puts them where kernels/kv_pages.h says. Only the row's own elements are
// written, so rows can be stored by different threads.
namespace gale::GALE_ISA {

template <class Kv>
struct LaneStore {
  using Element = typename Kv::Element;
  static constexpr int64_t kStep = Kv::kStep;

  static void round(const float* x, int64_t width, Element* to) {
    for (int64_t i = 0; i < width; i += 16) Kv::put(to + i, load_first(x + i, width - i));
  }
  static void put_key(const float* x, int64_t width, std::byte* page, int64_t slot) {
    Element row[kMaxHeadWidth];
    round(x, width, row);
    const int64_t steps = (width + kStep - 1) / kStep;
    Element* to = reinterpret_cast<Element*>(page) + (slot / 16 * steps * 16 + slot % 16) * kStep;
    for (int64_t i = 0; i < width; ++i) to[i / kStep * 16 * kStep + i % kStep] = row[i];
  }
  static void put_value(const float* x, int64_t width, std::byte* page, int64_t slot) {
    Element row[kMaxHeadWidth];
    round(x, width, row);
    const int64_t channels = (width + 15) / 16 * 16;
    Element* to = reinterpret_cast<Element*>(page) + slot / kStep * channels * kStep + slot % kStep;
    for (int64_t i = 0; i < width; ++i) to[i * kStep] = row[i];
  }
};

struct QuadStore {
  // The scale is kept as f16; what it cannot hold saturates, and codes are made with what is kept.
  static constexpr float kLimit = 127.0f * 65504.0f;
  static uint16_t bits_of_scale(float scale) {
    uint16_t half[16];
    store_f16(half, set1(scale));
    return half[0];
  }
  static float kept(float scale) {
    uint16_t half[16];
    store_f16(half, set1(scale));
    float lanes[16];
    store(lanes, load_f16(half));
    return lanes[0];
  }

  static void put_key(const float* x, int64_t width, std::byte* page, int64_t slot) {
    const int64_t quads = (width + 3) / 4, blocks = (width + 31) / 32, tile = slot / 16, lane = slot % 16;
    auto* codes = reinterpret_cast<uint8_t*>(page);
    auto* scales = reinterpret_cast<uint16_t*>(codes + kPageSlots * 4 * quads);
    codes += tile * quads * 64 + lane * 4;
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t n = width - b * 32 < 32 ? width - b * 32 : 32;
      int8_t row[32];
      scales[(tile * blocks + b) * 16 + lane] = bits_of_scale(round_block(x + b * 32, n, kLimit, row, kept));
      for (int64_t i = 0; i < n; ++i) codes[(b * kQuads + i / 4) * 64 + i % 4] = uint8_t(row[i] + 128);
    }
  }
  static void put_value(const float* x, int64_t width, std::byte* page, int64_t slot) {
    const int64_t channels = (width + 15) / 16 * 16;
    auto* codes = reinterpret_cast<int8_t*>(page);
    auto* scales = reinterpret_cast<uint16_t*>(codes + kPageSlots * channels);
    codes += slot / 4 * channels * 4 + slot % 4;
    int8_t row[kMaxHeadWidth];
    scales[slot] = bits_of_scale(round_block(x, width, kLimit, row, kept));
    for (int64_t i = 0; i < width; ++i) codes[i * 4] = row[i];
  }
};

template <class Store>
void store_rows(const float* k, const float* v, const KvPages& p, const KvRows& rows, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r)
    for (int64_t h = 0; h < p.heads; ++h) {
      const int64_t slot = rows.slots[r], page = rows.tables[r][slot / kPageSlots] * p.heads + h;
      Store::put_key(k + (r * p.heads + h) * p.k_width, p.k_width, p.k + page * p.k_page, slot % kPageSlots);
      Store::put_value(v + (r * p.heads + h) * p.v_width, p.v_width, p.v + page * p.v_page, slot % kPageSlots);
    }
}

}  // namespace gale::GALE_ISA
