#pragma once
#include <algorithm>
#include <cmath>

#include "quant/blocks.h"
#include "quant/hf_parts.h"

/// Blocks of the formats that are made here under the names of other projects' (--quant nf4): the same codes, scales and values
/// as theirs, with everything about a few columns together, since there is one tensor for them and not several. They live in
/// memory and in packed files.
namespace gale::made {

inline float load_f32(const std::byte* p) {
  float out;
  std::memcpy(&out, p, sizeof out);
  return out;
}
inline void store_f32(std::byte* p, float v) { std::memcpy(p, &v, sizeof v); }

inline float largest_of(const float* x, int64_t n) {
  float out = 0;
  for (int64_t i = 0; i < n; ++i) out = std::max(out, std::fabs(x[i]));
  return out;
}

/// Codes one after another from the lowest bit of `to` on: the inverse of hf::unpack_bits. REQUIRES: n x bits fills whole bytes.
inline void pack_bits(const uint8_t* codes, int bits, int64_t n, std::byte* to) {
  uint32_t held = 0;
  int have = 0;
  for (int64_t i = 0; i < n; ++i) {
    held |= uint32_t(codes[i]) << have;
    for (have += bits; have >= 8; have -= 8, held >>= 8) *to++ = std::byte(held & 0xff);
  }
}

/// A Format of blocks that other projects' files have a form for: the format that reads it, and the bits of a code.
template <class F>
constexpr Format filed_format(std::string_view form, int bits) {
  Format out = blocks::block_format<F>();
  out.file_form = form, out.file_bits = bits;
  return out;
}

/// What shares a scale: a row, or 128 rows and 128 columns, those at the edges being smaller.
enum class Scope { row, block };

/// 32 columns: an f32 scale, then as many codes of 8 bits; the scale is that of a row or of a block, repeated. Code has: static
/// uint8_t of(float) for |x| <= kLargest, and fix(byte), which makes any byte one that is a code.
template <class Code, Scope Of>
struct Bytes {
  static constexpr int64_t columns = 32, bytes = 4 + columns, kBlock = 128;
  static constexpr Layout layout = Code::layout;

  static bool valid(const std::byte* block) { return std::isfinite(load_f32(block)) && Code::valid(block + 4, columns); }
  static void values(const std::byte* block, float* out) {
    const float scale = load_f32(block);
    for (int64_t i = 0; i < columns; ++i) out[i] = scale * Code::value(uint8_t(block[4 + i]));
  }
  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = load_f32(block);
    uint8_t q[columns];
    std::memcpy(q, block + 4, sizeof q);
    for (int64_t i = 0; i < columns; ++i) out.codes[i] = Code::kernel_code(q[i]);
  }
  /// The same scale for all: rows that are drawn one by one share it as those that are made do.
  static void draw_scales(uint64_t, std::byte* block) {
    store_f32(block, Code::kSmall * 1.125f);
    for (int64_t i = 0; i < columns; ++i) block[4 + i] = std::byte(Code::fix(uint8_t(block[4 + i])));
  }
  static constexpr bool weighs = false;
  static void quantize(const blocks::BlockRow& row) { write(row, largest_of(row.x, row.blocks * columns) / Code::kLargest); }
  static void write(const blocks::BlockRow& row, float scale) {
    for (int64_t b = 0; b < row.blocks; ++b) {
      const float* x = row.x + b * columns;
      std::byte* out = row.out + b * bytes;
      store_f32(out, scale);
      for (int64_t i = 0; i < columns; ++i)
        out[4 + i] = std::byte(Code::of(scale > 0 ? std::clamp(x[i] / scale, -Code::kLargest, Code::kLargest) : 0.0f));
    }
  }
  /// 128 rows and columns at a time, from the first on.
  static void quantize_blocks(const CpuKernels& cpu, const float* x, int64_t rows, int64_t n, std::byte* out) {
    for (int64_t row = 0; row < rows; row += kBlock)
      for (int64_t column = 0; column < n; column += kBlock) {
        const int64_t last = std::min(row + kBlock, rows), width = std::min(kBlock, n - column);
        float most = 0;
        for (int64_t r = row; r < last; ++r) most = std::max(most, largest_of(x + r * n + column, width));
        for (int64_t r = row; r < last; ++r)
          write({cpu, x + r * n + column, nullptr, width / columns, out + (r * n + column) / columns * bytes},
                most / Code::kLargest);
      }
  }
};

/// The widest groups of kernels that no scale's columns are cut by.
template <Scope Of>
constexpr int16_t bytes_width(int64_t columns) {
  for (const int16_t width : {256, 128, 64})
    if (columns % width == 0 && (Of == Scope::row || width <= 128)) return width;
  return 32;
}

/// A Format of Bytes: groups as wide as they can be.
template <class F, Scope Of>
constexpr Format bytes_format() {
  Format out = blocks::block_format<F>();
  out.layout = [](const TensorGroup& group) {
    Layout layout = F::layout;
    layout.group = layout.block = bytes_width<Of>(blocks::weight_shape(group).second);
    return layout;
  };
  out.groups = [](const TensorGroup& group, const Slice2& slice, LogicalGroups& to) {
    constexpr Format narrow = blocks::block_format<F>();
    const int64_t each = bytes_width<Of>(blocks::weight_shape(group).second) / F::columns;
    blocks::check_slice(blocks::weight_of(group), slice, each * F::columns);
    narrow.groups(group, slice, to);
    const int64_t n = int64_t(to.top.size()) / each;
    for (int64_t i = 0; i < n; ++i) to.top[size_t(i)] = to.top[size_t(i * each)];
    to.top.resize(size_t(n));
  };
  if (Of == Scope::row) return out;
  out.rows_together = int32_t(F::kBlock);
  out.quantize = [](const CpuKernels& cpu, const float* values, int64_t rows, int64_t columns, const float* importance,
                    std::byte* to) {
    blocks::check_input(F::name, values, rows, columns, importance, F::columns, blocks::limit_of<F>());
    F::quantize_blocks(cpu, values, rows, columns, to);
  };
  return out;
}

/// 64 columns: an f32 scale, the largest magnitude, then 4-bit codes, the first of two columns in the high half: bitsandbytes'.
template <CodeTable Table>
struct Table4 {
  static constexpr int64_t columns = 64, bytes = 4 + columns / 2;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 4, .group = 64, .block = 64, .top = ScaleType::f32, .table = Table};

  static bool valid(const std::byte* block) { return std::isfinite(load_f32(block)); }
  static uint8_t code(const std::byte* block, int64_t i) {
    const auto both = uint8_t(block[4 + i / 2]);
    return i % 2 == 0 ? both >> 4 : both & 15;
  }
  static void values(const std::byte* block, float* out) {
    for (int64_t i = 0; i < columns; ++i) out[i] = load_f32(block) * table_numbers(Table)[code(block, i)];
  }
  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = load_f32(block);
    for (int64_t i = 0; i < columns; ++i) out.codes[i] = code(block, i);
  }
  static void draw_scales(uint64_t bits, std::byte* block) { store_f32(block, 0.035f + 0.0001f * float(bits % 64)); }
  /// The nearest value, as bitsandbytes' thresholds have it (csrc/kernels.cu, dQuantizeNF4 and dQuantizeFP4: all are midpoints).
  static constexpr bool weighs = false;
  static void quantize(const blocks::BlockRow& row) {
    for (int64_t b = 0; b < row.blocks; ++b) {
      const float* x = row.x + b * columns;
      const float scale = largest_of(x, columns);
      store_f32(row.out + b * bytes, scale);
      for (int64_t i = 0; i < columns; i += 2)
        row.out[b * bytes + 4 + i / 2] = std::byte(nearest(x[i], scale) << 4 | nearest(x[i + 1], scale));
    }
  }
  static uint8_t nearest(float x, float scale) {
    const float* table = table_numbers(Table);
    int zero = 0;  // of the codes that stand for 0
    while (table[zero] != 0) ++zero;
    if (scale <= 0) return uint8_t(zero);
    int best = 0;
    for (int i = 1; i < 16; ++i)
      if (std::fabs(x / scale - table[i]) < std::fabs(x / scale - table[best])) best = i;
    return uint8_t(best);
  }
};

/// 64 columns: two f16 numbers, then codes from the lowest bit on. value = first x code + second (MLX's affine form, AFQ), or
/// first x (code - second) (HQQ's).
template <int Bits, bool Hqq>
struct Affine {
  static constexpr int64_t columns = 64, bytes = 4 + columns * Bits / 8;
  static constexpr Layout layout{.kind = Layout::Kind::grouped,
                                 .bits = Bits < 2 ? 2 : Bits,
                                 .group = 64,
                                 .block = 64,
                                 .top = ScaleType::f16,
                                 .minimum = !Hqq,
                                 .real_zeros = Hqq};
  static constexpr int kTop = (1 << Bits) - 1;

  static bool valid(const std::byte* block) { return blocks::finite_f16(block) && blocks::finite_f16(block + 2); }
  static void values(const std::byte* block, float* out) {
    uint8_t codes[columns];
    hf::unpack_bits(block + 4, Bits, 0, columns, codes);
    const float scale = blocks::load_f16(block), second = blocks::load_f16(block + 2);
    for (int64_t i = 0; i < columns; ++i) out[i] = Hqq ? (float(codes[i]) - second) * scale : scale * float(codes[i]) + second;
  }
  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    *out.top_min = Hqq ? blocks::load_f16(block + 2) : -blocks::load_f16(block + 2);
    hf::unpack_bits(block + 4, Bits, 0, columns, out.codes);
  }
  /// Codes deviate by 2^Bits / sqrt(12), of one bit by a half.
  static void draw_scales(uint64_t bits, std::byte* block) {
    const float scale = (Bits == 1 ? 0.036f : 0.064f / float(1 << Bits)) * (1 + float(bits % 64) / 512);
    store(block, scale, Hqq ? 0.5f * kTop : -0.5f * kTop * scale);
  }
  static void store(std::byte* block, float first, float second) {
    blocks::store_u16(block, f32_to_f16(first));
    blocks::store_u16(block + 2, f32_to_f16(second));
  }
  static constexpr bool weighs = false;
  static void quantize(const blocks::BlockRow& row) {
    for (int64_t b = 0; b < row.blocks; ++b)
      Hqq ? quantize_hqq(row.x + b * columns, row.out + b * bytes) : quantize_afq(row.x + b * columns, row.out + b * bytes);
  }
  static uint8_t clamped(float code) { return uint8_t(std::clamp(code, 0.0f, float(kTop))); }

  /// mlx/backend/metal/kernels/quantized.h, affine_quantize: the end of the range that is further from 0 is met exactly, and 0 is
  /// too.
  static void quantize_afq(const float* x, std::byte* block) {
    const auto [low, high] = std::minmax_element(x, x + columns);
    const bool below = std::fabs(*low) > std::fabs(*high);
    float scale = std::max((*high - *low) / float(kTop), 1e-7f);
    if (!below) scale = -scale;
    const float edge = below ? *low : *high, steps = std::nearbyint(edge / scale);
    if (steps != 0) scale = edge / steps;
    store(block, scale, steps != 0 ? edge : 0.0f);
    write_codes(x, block, [&](float v) { return v - blocks::load_f16(block + 2); });
  }

  /// hqq/core/optimize.py, optimize_weights_proximal: the scale of the range stays; half-quadratic steps move the zero for an
  /// error of |x|^0.7. Theirs end when the error of the whole matrix rises, ours keep the group's best.
  static void quantize_hqq(const float* x, std::byte* block) {
    if constexpr (Bits == 1) return quantize_two(x, block);
    constexpr int kSteps = 20;
    constexpr float kNorm = 0.7f, kKappa = 1.01f, kMostInverse = 2e4f;
    const auto [low, high] = std::minmax_element(x, x + columns);
    const float inverse = *high > *low ? std::min(float(kTop) / (*high - *low), kMostInverse) : 1.0f;
    float next = -*low * inverse, zero = next, beta = 10, best = INFINITY;
    for (int step = 0; step < kSteps; ++step, beta *= kKappa) {
      const float tried = next;
      float error = 0;
      next = 0;
      for (int64_t i = 0; i < columns; ++i) {
        const float q = std::clamp(std::nearbyint(x[i] * inverse + tried), 0.0f, float(kTop));
        const float off = x[i] - (q - tried) / inverse, size = std::fabs(off);
        const float kept = size > 0 ? std::copysign(std::max(size - std::pow(size, kNorm - 1) / beta, 0.0f), off) : 0.0f;
        next += (q - (x[i] - kept) * inverse) / float(columns);
        error += off * off;
      }
      if (error < best) best = error, zero = tried;
    }
    store(block, 1 / inverse, std::clamp(zero, -blocks::kF16Limit, blocks::kF16Limit));
    write_codes(x, block, [&](float v) { return v + blocks::load_f16(block + 2) * blocks::load_f16(block); });
  }

  /// One bit: two values, each the mean of those that are nearer to it. The scale of the range, which HQQ keeps, would put them
  /// at its ends and err more than zeros do.
  static void quantize_two(const float* x, std::byte* block) {
    constexpr int kRounds = 16;
    const auto [least, most] = std::minmax_element(x, x + columns);
    float low = *least, high = *most;
    for (int round = 0; round < kRounds && low < high; ++round) {
      const float between = 0.5f * low + 0.5f * high;
      float below = 0, above = 0, n = 0;
      for (int64_t i = 0; i < columns; ++i)
        if (x[i] > between)
          above += x[i], n += 1;
        else
          below += x[i];
      if (n == 0) break;
      low = below / (float(columns) - n), high = above / n;
    }
    const float scale = high > low ? std::clamp(high - low, 1.0f / 2e4f, blocks::kF16Limit) : 1.0f;
    store(block, scale, std::clamp(-low / scale, -blocks::kF16Limit, blocks::kF16Limit));
    write_codes(x, block, [&](float v) { return v + blocks::load_f16(block + 2) * blocks::load_f16(block); });
  }

  /// The nearest codes under the scale as it is stored.
  template <class F>
  static void write_codes(const float* x, std::byte* block, const F& over) {
    const float scale = blocks::load_f16(block);
    uint8_t codes[columns];
    for (int64_t i = 0; i < columns; ++i) codes[i] = scale != 0 ? clamped(std::nearbyint(over(x[i]) / scale)) : 0;
    pack_bits(codes, Bits, columns, block + 4);
  }
};

/// e4m3, to nearest even.
struct E4m3 {
  static constexpr float kLargest = 448, kSmall = 1.6e-4f;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 8, .group = 32, .block = 32, .top = ScaleType::f32, .table = CodeTable::e4m3};
  static bool valid(const std::byte* codes, int64_t n) {
    return std::none_of(codes, codes + n, [](std::byte b) { return (uint8_t(b) & 0x7f) == 0x7f; });
  }
  static float value(uint8_t code) { return table_numbers(CodeTable::e4m3)[code]; }
  static uint8_t kernel_code(uint8_t code) { return code; }
  static uint8_t fix(uint8_t byte) { return (byte & 0x7f) == 0x7f ? byte ^ 1 : byte; }
  static uint8_t of(float x) {
    const float size = std::fabs(x);
    const int exponent = size > 0 ? std::max(std::ilogb(size), -6) : -6;
    const int eighths = int(std::nearbyint(std::ldexp(size, 3 - exponent)));  // 16: the next exponent's 8, which adds up the same
    const int code = eighths < 8 ? eighths : ((exponent + 7) << 3) + eighths - 8;
    return uint8_t(code | (std::signbit(x) ? 0x80 : 0));
  }
};

struct Int8 {
  static constexpr float kLargest = 127, kSmall = 2.5e-4f;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 8, .group = 32, .block = 32, .top = ScaleType::f32, .bias = 128};
  static bool valid(const std::byte*, int64_t) { return true; }
  static float value(uint8_t code) { return float(int8_t(code)); }
  static uint8_t kernel_code(uint8_t code) { return code ^ 0x80; }
  static uint8_t fix(uint8_t byte) { return byte; }
  static uint8_t of(float x) { return uint8_t(int8_t(std::nearbyint(x))); }
};

}  // namespace gale::made
