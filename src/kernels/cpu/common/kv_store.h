#pragma once
#include <cstdint>

#include "kernels/cpu/common/attention_lanes.h"
#include "kernels/cpu/common/attention_quads.h"
#include "kernels/cpu/kernels.h"

// Rounds rows of K and V to the cache's types and puts them where kernels/kv_pages.h says. Only the row's own bytes are written,
// so rows can be stored by different threads.
namespace gale::GALE_ISA {

template <class Kv>
struct LaneStore {
  using Element = typename Kv::Element;
  static constexpr int64_t kStep = Kv::kStep;

  static void put_key(const float* x, int64_t width, std::byte* page, int64_t, int64_t slot) {
    Element row[kMaxHeadWidth];
    for (int64_t i = 0; i < width; i += 16) Kv::put(row + i, load_first(x + i, width - i));
    spread_key(row, width, page, slot);
  }
  static void put_value(const float* x, int64_t width, std::byte* page, int64_t, int64_t slot) {
    Element row[kMaxHeadWidth];
    for (int64_t i = 0; i < width; i += 16) Kv::put(row + i, load_first(x + i, width - i));
    spread_value(row, width, page, slot);
  }
  static void spread_key(const Element* row, int64_t width, std::byte* page, int64_t slot) {
    const int64_t steps = (width + kStep - 1) / kStep;
    Element* to = reinterpret_cast<Element*>(page) + (slot / 16 * steps * 16 + slot % 16) * kStep;
    for (int64_t i = 0; i < width; ++i) to[i / kStep * 16 * kStep + i % kStep] = row[i];
  }
  static void spread_value(const Element* row, int64_t width, std::byte* page, int64_t slot) {
    const int64_t channels = (width + 15) / 16 * 16;
    Element* to = reinterpret_cast<Element*>(page) + slot / kStep * channels * kStep + slot % kStep;
    for (int64_t i = 0; i < width; ++i) to[i * kStep] = row[i];
  }
};

// The scale that the cache keeps is an f16; what it cannot hold saturates, and codes are made with what is kept.
inline uint16_t bits_of_scale(float scale) {
  uint16_t half[16];
  store_f16(half, set1(scale));
  return half[0];
}
inline float kept_scale(float scale) {
  uint16_t half[16];
  store_f16(half, set1(scale));
  float lanes[16];
  store(lanes, load_f16(half));
  return lanes[0];
}
constexpr float kLargestHalf = 65504.0f;

struct Fp8Store {
  static uint16_t round(const float* x, int64_t width, uint8_t* codes) {
    constexpr float kLimit = kLargestE4m3 * kLargestHalf;
    f32x16 top = zero();
    for (int64_t i = 0; i < width; i += 16) top = max(abs(finite(load_first(x + i, width - i), kLimit)), top);
    const float scale = kept_scale(reduce_max(top) / kLargestE4m3);
    const f32x16 inverse = set1(scale > 0 ? 1.0f / scale : 0.0f);
    for (int64_t i = 0; i < width; i += 16)
      store_u8(codes + i, to_e4m3(finite(mul(finite(load_first(x + i, width - i), kLimit), inverse), kLargestE4m3)));
    return bits_of_scale(scale);
  }
  static void put_key(const float* x, int64_t width, std::byte* page, int64_t slots, int64_t slot) {
    uint8_t row[kMaxHeadWidth];
    const uint16_t scale = round(x, width, row);
    LaneStore<Fp8>::spread_key(row, width, page, slot);
    const_cast<uint16_t*>(scales_of<Fp8>(page, slots, (width + 1) / 2 * 2))[slot] = scale;
  }
  static void put_value(const float* x, int64_t width, std::byte* page, int64_t slots, int64_t slot) {
    uint8_t row[kMaxHeadWidth];
    const uint16_t scale = round(x, width, row);
    LaneStore<Fp8>::spread_value(row, width, page, slot);
    const_cast<uint16_t*>(scales_of<Fp8>(page, slots, (width + 15) / 16 * 16))[slot] = scale;
  }
};

struct ByteStore {
  static constexpr float kLimit = 127.0f * kLargestHalf;

  static void put_key(const float* x, int64_t width, std::byte* page, int64_t slots, int64_t slot) {
    const int64_t quads = Bytes::quads(width), tile = slot / 16, lane = slot % 16;
    const int64_t blocks = (width + kScaledChannels - 1) / kScaledChannels;
    auto* codes = reinterpret_cast<uint8_t*>(page);
    auto* scales = reinterpret_cast<uint16_t*>(codes + slots * 4 * quads);
    codes += tile * quads * 64 + lane * 4;
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t left = width - b * kScaledChannels, n = left < kScaledChannels ? left : kScaledChannels;
      int8_t row[kScaledChannels];
      scales[(tile * blocks + b) * 16 + lane] = bits_of_scale(round_block(x + b * kScaledChannels, n, kLimit, row, kept_scale));
      for (int64_t i = 0; i < n; ++i) codes[(b * kQuads + i / 4) * 64 + i % 4] = uint8_t(row[i] + 128);
    }
  }
  static void put_value(const float* x, int64_t width, std::byte* page, int64_t slots, int64_t slot) {
    const int64_t channels = (width + 15) / 16 * 16;
    auto* codes = reinterpret_cast<int8_t*>(page);
    auto* scales = reinterpret_cast<uint16_t*>(codes + slots * channels);
    codes += slot / 4 * channels * 4 + slot % 4;
    int8_t row[kMaxHeadWidth];
    scales[slot] = bits_of_scale(round_block(x, width, kLimit, row, kept_scale));
    for (int64_t i = 0; i < width; ++i) codes[i * 4] = row[i];
  }
};

// -8..7 times a scale for each 32 channels. A key's is as in GGUF's q4_0: of its value of the largest magnitude, with either
// sign, -8 times the scale is made. A value's joins the weights, which have no sign: it is positive and lets the extremes round
// to the last code (of scales without a sign that lost the least on normal distributions: 9 % more than with one).
struct NibbleStore {
  static constexpr float kLimit = 8.0f * kLargestHalf;

  struct Range {
    float up, down;  // how far above and below 0
  };
  static Range range_of(const float* x, int64_t n) {
    f32x16 up = zero(), down = zero();
    for (int64_t i = 0; i < n && i < kScaledChannels; i += 16) {
      const f32x16 values = finite(load_first(x + i, n - i), kLimit);
      up = max(values, up);
      down = max(sub(zero(), values), down);
    }
    return {reduce_max(up), reduce_max(down)};
  }
  static float key_scale(Range r) { return kept_scale((r.up > r.down ? r.up : -r.down) / -8.0f); }
  static float value_scale(Range r) { return kept_scale(r.up / 7.25f > r.down / 8.25f ? r.up / 7.25f : r.down / 8.25f); }
  // 32 codes + 8, zeros behind n.
  static void round(const float* x, int64_t n, float scale, uint8_t* codes) {
    const f32x16 inverse = set1(scale != 0 ? 1.0f / scale : 0.0f);
    for (int64_t i = 0; i < kScaledChannels; i += 16) {
      const f32x16 values = i < n ? finite(load_first(x + i, n - i), kLimit) : zero();
      store_u8(codes + i, iadd(to_int(min(max(mul(values, inverse), set1(-8.0f)), set1(7.0f))), iset1(8)));
    }
  }

  static void put_key(const float* x, int64_t width, std::byte* page, int64_t slots, int64_t slot) {
    const int64_t blocks = (width + kScaledChannels - 1) / kScaledChannels, tile = slot / 16, lane = slot % 16;
    auto* codes = reinterpret_cast<uint8_t*>(page);
    auto* scales = reinterpret_cast<uint16_t*>(codes + slots * blocks * 16);
    codes += tile * blocks * 256 + lane * 4;
    for (int64_t b = 0; b < blocks; ++b) {
      uint8_t row[kScaledChannels];
      const float* from = x + b * kScaledChannels;
      const float scale = key_scale(range_of(from, width - b * kScaledChannels));
      scales[(tile * blocks + b) * 16 + lane] = bits_of_scale(scale);
      round(from, width - b * kScaledChannels, scale, row);
      for (int64_t i = 0; i < 16; ++i) codes[b * 256 + i / 4 * 64 + i % 4] = uint8_t(row[i] | row[i + 16] << 4);
    }
  }
  static void put_value(const float* x, int64_t width, std::byte* page, int64_t slots, int64_t slot) {
    const int64_t blocks = (width + kScaledChannels - 1) / kScaledChannels;
    auto* codes = reinterpret_cast<uint8_t*>(page);
    auto* scales = reinterpret_cast<uint16_t*>(codes + slots * blocks * 16);
    codes += slot / 4 * blocks * 64 + slot % 4;
    for (int64_t b = 0; b < blocks; ++b) {
      uint8_t row[kScaledChannels];
      const float* from = x + b * kScaledChannels;
      const float scale = value_scale(range_of(from, width - b * kScaledChannels));
      scales[b * slots + slot] = bits_of_scale(scale);
      round(from, width - b * kScaledChannels, scale, row);
      for (int64_t i = 0; i < 16; ++i) codes[b * 64 + i * 4] = uint8_t(row[i] | row[i + 16] << 4);
    }
  }
};

// Calls put(row of rows and head, page, slot in it) for rows [begin, end).
template <class Put>
void each_row(const KvPages& p, const KvRows& rows, int64_t begin, int64_t end, const Put& put) {
  for (int64_t r = begin; r < end; ++r)
    for (int64_t h = 0; h < p.heads; ++h) {
      const int64_t slot = rows.slots[r];
      put(r * p.heads + h, rows.tables[r][slot / p.slots] * p.heads + h, slot % p.slots);
    }
}
template <class Store>
void store_keys(const float* k, const KvPages& p, const KvRows& rows, int64_t begin, int64_t end) {
  each_row(p, rows, begin, end, [&](int64_t row, int64_t page, int64_t slot) {
    Store::put_key(k + row * p.k_width, p.k_width, p.k + page * p.k_page, p.slots, slot);
  });
}
template <class Store>
void store_values(const float* v, const KvPages& p, const KvRows& rows, int64_t begin, int64_t end) {
  each_row(p, rows, begin, end, [&](int64_t row, int64_t page, int64_t slot) {
    Store::put_value(v + row * p.v_width, p.v_width, p.v + page * p.v_page, p.slots, slot);
  });
}

}  // namespace gale::GALE_ISA
