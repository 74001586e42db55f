#include <algorithm>

#include "quant/e2m1.h"

namespace gale {
namespace {

/// OCP's microscaling 4-bit floats ("Microscaling Formats (MX) Specification", 1.0, 2023) as GGUF keeps them. 32 columns: a byte
/// e, then 16 bytes whose low halves are the codes of columns 0-15 and whose high halves those of 16-31;
/// value = 2^(e - 127) * e2m1[q], here 2^(e - 128) * twice that. 4.25 bits per weight.
struct Mxfp4 {
  static constexpr std::string_view name = "mxfp4";
  static constexpr TensorType type = TensorType::mxfp4;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 4, .group = 32, .block = 32, .top = ScaleType::e8m0, .table = CodeTable::e2m1};
  static constexpr int64_t bytes = 17;
  static constexpr int kLargestE = 252;  // 2^124 * 12 is a number, twice that is none; 255 is OCP's NaN

  static bool valid(const std::byte* block) { return int(block[0]) <= kLargestE; }

  static void values(const std::byte* block, float* out) {
    const float d = half_e8m0_to_f32(uint8_t(block[0]));
    const int8_t* table = table_values(CodeTable::e2m1);
    for (int i = 0; i < 16; ++i) {
      const int both = int(block[1 + i]);
      out[i] = d * float(table[both & 15]);
      out[i + 16] = d * float(table[both >> 4]);
    }
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = half_e8m0_to_f32(uint8_t(block[0]));
    for (int i = 0; i < 16; ++i) {
      out.codes[i] = uint8_t(block[1 + i]) & 15;
      out.codes[i + 16] = uint8_t(block[1 + i]) >> 4;
    }
  }

  /// 2^-8 or half of it: codes deviate by 5.9.
  static void draw_scales(uint64_t bits, std::byte* block) { block[0] = std::byte(119 + bits % 2); }
  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    block[0] = std::byte(f32_to_half_e8m0(from.top));
    for (int i = 0; i < 16; ++i) block[1 + i] = std::byte(from.codes[i] | from.codes[i + 16] << 4);
  }

  static void quantize(const blocks::BlockRow& row) {
    for (int64_t i = 0; i < row.blocks; ++i)
      quantize_block(row.x + i * 32, row.importance ? row.importance + i * 32 : nullptr, row.out + i * bytes);
  }
  static void quantize_block(const float* x, const float* importance, std::byte* block);
};

/// The reference definition takes the power of two that brings the largest value to 4 .. 8, of which those above 6 are cut to 6;
/// the next one up or down often errs less.
void Mxfp4::quantize_block(const float* x, const float* importance, std::byte* block) {
  float weights[32], largest = 0;
  two_level::weigh_values<32>(x, importance, weights);
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(x[i]));
  const int usual = largest > 0 ? std::clamp(std::ilogb(largest) - 2 + 127, 0, kLargestE - 1) : 0;
  int best_e = usual;
  e2m1::Trial<32> best(x, weights, half_e8m0_to_f32(uint8_t(usual)));
  for (const int e : {usual - 1, usual + 1}) {
    if (e < 0) continue;
    if (const e2m1::Trial<32> other(x, weights, half_e8m0_to_f32(uint8_t(e))); other.error < best.error) best = other, best_e = e;
  }
  block[0] = std::byte(best_e);
  for (int i = 0; i < 16; ++i) block[1 + i] = std::byte(best.codes[i] | best.codes[i + 16] << 4);
}

}  // namespace

extern const Format format_mxfp4;
const Format format_mxfp4 = blocks::block_format<Mxfp4>();

}  // namespace gale
