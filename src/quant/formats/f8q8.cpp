#include "quant/made_blocks.h"
#include "quant/two_level.h"

namespace gale {
namespace {

/// mistral.rs's F8Q8 (mistralrs-quant/src/f8q8/mod.rs, BlockF8Q8). 32 columns: an e4m3 byte d, then 32 signed bytes;
/// value = q * (d / 448), so that scales up to 1 use the whole range of d. 8.25 bits per weight.
struct F8q8 {
  static constexpr std::string_view name = "f8q8";
  static constexpr TensorType type = TensorType::f8q8;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 8, .group = 32, .block = 32, .top = ScaleType::e4m3, .bias = 128};
  static constexpr int64_t columns = 32, bytes = 33;
  static constexpr float limit = 127;

  static bool valid(const std::byte* block) { return made::E4m3::valid(block, 1); }
  static std::string_view fault(const std::byte*) { return "its scale is no number"; }
  static float scale(const std::byte* block) { return made::E4m3::value(uint8_t(block[0])) / made::E4m3::kLargest; }
  static void values(const std::byte* block, float* out) {
    const float d = scale(block);
    for (int64_t i = 0; i < columns; ++i) out[i] = float(int8_t(block[1 + i])) * d;
  }
  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = scale(block);
    uint8_t q[columns];
    std::memcpy(q, block + 1, sizeof q);
    for (int64_t i = 0; i < columns; ++i) out.codes[i] = q[i] ^ 0x80;
  }
  /// 2^-12 and up: codes deviate by 74.
  static void draw_scales(uint64_t bits, std::byte* block) { block[0] = std::byte(0x1e + bits % 4); }

  /// The reference's d, the largest magnitude over 127, but codes under the d that is stored, where the reference takes them
  /// under the one before it was rounded and so errs by up to a sixteenth. Rounding down would cut the largest values: the next d
  /// up is tried too.
  static void quantize(const blocks::BlockRow& row) {
    for (int64_t b = 0; b < row.blocks; ++b)
      quantize_block(row.x + b * columns, row.importance ? row.importance + b * columns : nullptr, row.out + b * bytes);
  }
  static void quantize_block(const float* x, const float* importance, std::byte* block) {
    const float wanted = std::min(made::largest_of(x, columns) / 127 * made::E4m3::kLargest, made::E4m3::kLargest);
    const uint8_t usual = made::E4m3::of(wanted);
    float best = INFINITY, weights[columns];
    std::fill_n(weights, columns, 1.0f);
    if (importance) two_level::weigh_values<columns>(x, importance, weights);
    for (const int d : {int(usual), usual + 1, usual - 1}) {
      if (d < 0 || d > 0x7e) continue;
      std::byte trial[bytes];
      trial[0] = std::byte(d);
      const float s = scale(trial), inverse = blocks::inverse_or_zero(s);
      float error = 0;
      for (int64_t i = 0; i < columns; ++i) {
        const float q = std::nearbyint(std::clamp(x[i] * inverse, -128.0f, 127.0f)), off = x[i] - q * s;
        trial[1 + i] = std::byte(int8_t(q));
        error += weights[i] * off * off;
      }
      if (error < best) best = error, std::memcpy(block, trial, sizeof trial);
    }
  }
};

}  // namespace

extern const Format format_f8q8;
const Format format_f8q8 = blocks::block_format<F8q8>();

}  // namespace gale
