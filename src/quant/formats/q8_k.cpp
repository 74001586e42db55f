#include <algorithm>

#include "quant/blocks.h"
#include "quant/eight_bits.h"

namespace gale {
namespace {

/// 256 columns: f32 scale d, 256 signed bytes q, then 16 sums (i16) of 16 codes each; value = d * q. 9.125 bits per weight. Where
/// d is 0 llama.cpp leaves the sums as they were in memory; else they must be right.
struct Q8K {
  static constexpr std::string_view name = "q8_k";
  static constexpr TensorType type = TensorType::q8_k;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 8, .group = 256, .block = 256, .top = ScaleType::f32, .bias = 128};
  static constexpr int64_t bytes = 292;
  static constexpr int kCodes = 4, kSums = 260;  // offsets

  static float scale(const std::byte* block) {
    float d;
    std::memcpy(&d, block, 4);
    return d;
  }
  /// d times a code must be a number too.
  static bool finite(const std::byte* block) { return std::isfinite(scale(block) * 128); }
  static int16_t sum(const std::byte* block, int group) {
    int out = 0;
    for (int i = 0; i < 16; ++i) out += int8_t(block[kCodes + group * 16 + i]);
    return int16_t(out);
  }
  static bool valid(const std::byte* block) {
    bool same = true;
    for (int group = 0; group < 16; ++group) same &= int16_t(blocks::load_u16(block + kSums + group * 2)) == sum(block, group);
    return finite(block) && (same || scale(block) == 0);
  }
  static std::string_view fault(const std::byte* block) {
    return finite(block) ? "its sums are not those of its codes" : "its scale gives no finite values";
  }

  static void values(const std::byte* block, float* out) {
    const float d = scale(block);
    for (int i = 0; i < 256; ++i) out[i] = d * float(int8_t(block[kCodes + i]));
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = scale(block);
    for (int i = 0; i < 256; ++i) out.codes[i] = uint8_t(block[kCodes + i]) ^ 0x80;  // q + 128
  }

  static void store_sums(std::byte* block) {
    for (int group = 0; group < 16; ++group) blocks::store_u16(block + kSums + group * 2, uint16_t(sum(block, group)));
  }

  /// 2.7e-4 and up: codes have a deviation of 74.
  static void draw_scales(uint64_t bits, std::byte* block) {
    const float d = 2.7e-4f + 1e-6f * float(bits % 64);
    std::memcpy(block, &d, 4);
    store_sums(block);
  }
  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    std::memcpy(block, &from.top, 4);
    for (int i = 0; i < 256; ++i) block[kCodes + i] = std::byte(from.codes[i] ^ 0x80);
    store_sums(block);
  }

  /// The reference definition: the value of largest magnitude, the first of several, becomes -127. With importance the scale of
  /// the least weighted error near that.
  static void quantize(const blocks::BlockRow& row) {
    for (int64_t i = 0; i < row.blocks; ++i)
      quantize_block(row.x + i * 256, row.importance ? row.importance + i * 256 : nullptr, row.out + i * bytes);
  }
  static void quantize_block(const float* x, const float* importance, std::byte* block) {
    float largest = 0;
    for (int i = 0; i < 256; ++i)
      if (std::fabs(x[i]) > std::fabs(largest)) largest = x[i];
    const float inverse = largest != 0 && std::isfinite(-127.0f / largest) ? -127.0f / largest : 0.0f;
    float d = inverse != 0 ? 1.0f / inverse : 0.0f;
    int8_t codes[256];
    for (int i = 0; i < 256; ++i) {
      const float nearest = (x[i] * inverse + 0x1.8p23f) - 0x1.8p23f;  // halves to even
      codes[i] = int8_t(std::min(127.0f, nearest));
    }
    if (importance) eight_bits::refine<256>(x, importance, d, codes, [](float v) { return v; });
    std::memcpy(block, &d, 4);
    std::memcpy(block + kCodes, codes, sizeof codes);
    store_sums(block);
  }
};

}  // namespace

extern const Format format_q8_k;
const Format format_q8_k = blocks::block_format<Q8K>();

}  // namespace gale
