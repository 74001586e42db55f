#include <algorithm>

#include "quant/e2m1.h"
#include "quant/hf_parts.h"

namespace gale {
namespace {

/// NVIDIA's 4-bit floats as GGUF keeps them. 64 columns: four e4m3 scales without sign, for 16 columns each, then for each 16
/// eight bytes whose low halves are the codes of columns 0-7 and whose high halves those of 8-15. value = e4m3[d] * e2m1[q], and
/// 0 where d is e4m3's byte without a number, 0x7f (ggml-impl.h, ggml_ue4m3_to_fp32). 4.5 bits per weight. A "scale" beside the
/// weight, f32, one number or one for each expert, is multiplied on what comes out: here on d, whose half meets twice the value
/// as in mxfp4. An "input_scale" is of activations, which are rounded here in a finer way.
struct Nvfp4 {
  static constexpr std::string_view name = "nvfp4";
  static constexpr TensorType type = TensorType::nvfp4;
  static constexpr Layout layout{.kind = Layout::Kind::grouped,
                                 .bits = 4,
                                 .group = 16,
                                 .block = 64,
                                 .top = ScaleType::f32,
                                 .sub = ScaleType::e4m3,
                                 .table = CodeTable::e2m1};
  static constexpr int64_t columns = 64, bytes = 36;
  static constexpr float limit = 448 * 6;

  static bool valid(const std::byte* block) {
    return std::none_of(block, block + 4, [](std::byte d) { return (d & std::byte(0x80)) != std::byte(0); });
  }
  static std::string_view fault(const std::byte*) { return "one of its scales is negative"; }
  static uint8_t scale_byte(const std::byte* block, int group) {
    const auto d = uint8_t(block[group]);
    return d == 0x7f ? 0 : d;
  }
  static void codes(const std::byte* block, uint8_t* out) {
    for (int g = 0; g < 4; ++g) blocks::split_nibbles<8>(block + 4 + g * 8, out + g * 16);
  }
  static void values(const std::byte* block, float* out) { values(block, 0.5f, out); }
  static void values(const std::byte* block, float top, float* out) {
    uint8_t q[columns];
    codes(block, q);
    for (int i = 0; i < columns; ++i)
      out[i] = top * table_numbers(CodeTable::e4m3)[scale_byte(block, i / 16)] * float(table_values(CodeTable::e2m1)[q[i]]);
  }
  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = 0.5f;
    for (int g = 0; g < 4; ++g) out.sub[g] = scale_byte(block, g);
    codes(block, out.codes);
  }
  /// 7/1024 and up: codes deviate by 2.9.
  static void draw_scales(uint64_t bits, std::byte* block) {
    for (int g = 0; g < 4; ++g) block[g] = std::byte(3 + (bits >> (2 * g) & 1));
  }
  /// What is common to all of a matrix, in the top scale, is a part of its own.
  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    for (int g = 0; g < 4; ++g) block[g] = std::byte(from.sub[g]);
    for (int i = 0; i < 32; ++i) {
      const uint8_t* q = from.codes + i / 8 * 16 + i % 8;
      block[4 + i] = std::byte(q[0] | q[8] << 4);
    }
  }

  /// The reference's scale brings the largest value to 6; a few steps around it often err less.
  static void quantize(const blocks::BlockRow& row) {
    for (int64_t i = 0; i < row.blocks * 4; ++i) {
      const float *x = row.x + i * 16, *importance = row.importance ? row.importance + i * 16 : nullptr;
      std::byte* block = row.out + i / 4 * bytes;
      quantize_group(x, importance, block[i % 4], block + 4 + i % 4 * 8);
    }
  }
  static uint8_t nearest_scale(float d) {
    const float* table = table_numbers(CodeTable::e4m3);
    const auto* above = std::lower_bound(table, table + 0x7f, d);
    if (above == table + 0x7f) return 0x7e;
    return uint8_t(above - table - (above > table && d - above[-1] < *above - d));
  }
  static void quantize_group(const float* x, const float* importance, std::byte& scale, std::byte* to) {
    float weights[16], largest = 0;
    two_level::weigh_values<16>(x, importance, weights);
    for (int i = 0; i < 16; ++i) largest = std::max(largest, std::fabs(x[i]));
    const int usual = nearest_scale(largest / 6);
    const auto trial_of = [&](int d) { return e2m1::Trial<16>(x, weights, 0.5f * table_numbers(CodeTable::e4m3)[d]); };
    e2m1::Trial<16> best = trial_of(usual);
    int best_d = usual;
    for (int d = std::max(usual - 3, 0); d <= std::min(usual + 4, 0x7e); ++d)
      if (const auto other = trial_of(d); other.error < best.error) best = other, best_d = d;
    scale = std::byte(best_d);
    for (int i = 0; i < 8; ++i) to[i] = std::byte(best.codes[i] | best.codes[i + 8] << 4);
  }
};

const RawTensor* scales_of(const TensorGroup& group) { return group.part("scale"); }

/// Half of the scale of a row's matrix; 0.5 where there is none.
float top_of(const TensorGroup& group, int64_t row) {
  const RawTensor* scales = scales_of(group);
  if (scales == nullptr) return 0.5f;
  const RawTensor& weight = blocks::weight_of(group);
  hf::check_type(*scales, scales->type == TensorType::f32, "NVFP4");
  hf::check_bytes(*scales);
  const int64_t matrices = weight.shape.rank() == 3 ? weight.shape[0] : 1, n = scales->elements();
  require(n == 1 || n == matrices, ErrorCode::corrupt, "{} is {}, but must be one number for each matrix of {}", scales->name,
          scales->shape.text(), weight.name);
  const float scale = hf::finite_number(*scales, n == 1 ? 0 : row / (weight.rows() / matrices));
  require(scale > 0, ErrorCode::corrupt, "{}: a scale of {} over all, which must be above 0; {} is damaged", scales->name, scale,
          file_of(*scales));
  require(std::isfinite(scale * 480 * 12), ErrorCode::corrupt, "{}: with a scale of {}, weights can be infinite; {} is damaged",
          scales->name, scale, file_of(*scales));
  return 0.5f * scale;
}

bool claims(const TensorGroup& group) {
  const RawTensor* weight = group.part("weight");
  if (weight == nullptr || weight->type != TensorType::nvfp4 || !weight->layout.empty()) return false;
  return std::ranges::all_of(group.parts, [](const auto& part) {
    return part.first == "weight" || part.first == "bias" || part.first == "scale" || part.first == "input_scale";
  });
}

void dequantize(const TensorGroup& group, const Slice2& slice, float* out) {
  const RawTensor& weight = blocks::weight_of(group);
  blocks::for_each_block(weight, slice, [&](const std::byte* block, int64_t row, int64_t column) {
    if (!Nvfp4::valid(block)) blocks::fail_block(weight, slice.row + row, slice.column + column, Nvfp4::fault(block));
    Nvfp4::values(block, top_of(group, slice.row + row), out + row * slice.columns + column);
  });
}

constexpr Format kLone = blocks::block_format<Nvfp4>();

void groups(const TensorGroup& group, const Slice2& slice, LogicalGroups& out) {
  kLone.groups(group, slice, out);
  if (scales_of(group) == nullptr) return;
  const int64_t blocks = slice.columns / Nvfp4::columns;
  for (int64_t r = 0; r < slice.rows; ++r) std::fill_n(out.top.begin() + r * blocks, blocks, top_of(group, slice.row + r));
}

constexpr Format with_scales() {
  Format out = kLone;
  out.reach = 256 * 6;  // not 448 * 6: the largest values may become 4 under 384 too, which often errs less
  out.claims = claims, out.dequantize = dequantize, out.groups = groups;
  return out;
}

}  // namespace

extern const Format format_nvfp4;
const Format format_nvfp4 = with_scales();

}  // namespace gale
