#include <array>

#include "base/checked.h"
#include "base/json.h"
#include "quant/grouped.h"

namespace gale {
namespace {

/// GPTQ of 4 bits, symmetric, shuffled for the Marlin kernel (Frantar and Alistarh, 2024) as AutoGPTQ wrote it with
/// "checkpoint_format": "marlin" (auto_gptq/nn_modules/qlinear/qlinear_marlin.py, pack, and IST-DASLab/marlin, _get_perms). With
/// K = in, N = out:
///   B  i32 [K / 16, 2 N]  tiles of 16 inputs x 16 outputs along N; of four tiles, 1024 codes, place i holds the one at
///   kPlaces[i];
///                         8 places to a word, the first in the lowest 4 bits
///   s  f16 [groups, N]    of 64 outputs place 8 i + j holds output i + 8 j; where a group is a whole row, of 32 outputs place
///                         8 i + j holds output 2 i + (0 1 8 9 16 17 24 25)[j]
/// value = s x (code - 8). A "workspace" beside them is the kernel's own.
struct Marlin {
  const RawTensor *codes_, *scales;
  int64_t out = 0, in = 0, groups = 0, size = 0, run = 0;
  Layout layout;

  explicit Marlin(const TensorGroup& group);
  float scale(int64_t row, int64_t column) const {
    const int64_t o = groups > 1 ? row % 64 : row % 32;
    const int64_t place = groups > 1 ? o % 8 * 8 + o / 8 : o % 8 / 2 * 8 + o / 8 * 2 + o % 2;
    return hf::finite_number(*scales, column / size * out + row - o + place);
  }
  float offset(int64_t, int64_t) const { return 0; }
  void codes(const Slice2& slice, uint8_t* to) const;
};

/// Where of 1024 codes of four tiles the one at [tile][input][output] lies: the inverse of _get_perms().
std::array<int16_t, 1024> places() {
  constexpr int kInterleave[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  int16_t plain[1024];
  int n = 0;
  for (int i = 0; i < 32; ++i)
    for (int tile = 0; tile < 4; ++tile)
      for (int block = 0; block < 2; ++block)
        for (const int input : {2 * (i % 4), 2 * (i % 4) + 1, 2 * (i % 4 + 4), 2 * (i % 4 + 4) + 1})
          plain[n++] = int16_t(256 * tile + 16 * input + i / 4 + 8 * block);
  std::array<int16_t, 1024> out;
  for (int i = 0; i < 1024; ++i) out[size_t(plain[i / 8 * 8 + kInterleave[i % 8]])] = int16_t(i);
  return out;
}

Marlin::Marlin(const TensorGroup& group)
    : codes_(&hf::part_of(group, "B", "Marlin")), scales(&hf::part_of(group, "s", "Marlin")) {
  for (const RawTensor* part : {codes_, scales})
    require(part->shape.rank() == 2 && part->elements() > 0, ErrorCode::corrupt, "{} is {}, but must be a matrix", part->name,
            part->shape.text());
  hf::check_type(*codes_, codes_->type == TensorType::i32, "Marlin");
  hf::check_type(*scales, scales->type == TensorType::f16, "Marlin");
  in = checked_mul(codes_->shape[0], 16, group.name), out = scales->shape[1], groups = scales->shape[0];
  require(out % 64 == 0 && in % groups == 0, ErrorCode::corrupt,
          "{} is {}: Marlin's have outputs in multiples of 64 and whole groups of {} columns", scales->name, scales->shape.text(),
          in);
  hf::check_shape(group, *codes_, {in / 16, 2 * out}, ": 8 codes to a word");
  hf::check_bytes(*scales);
  size = run = in / groups;
  const int64_t said = hf::config_number(group.quantization_config, "group_size", -1);
  require(said <= 0 || said >= in || said == size, ErrorCode::corrupt,
          "{}: {} columns in groups of {} are {} groups, but there are scales of {}", group.name, in, said,
          ceil_div(in, std::max<int64_t>(said, 1)), groups);
  layout = hf::without_zeros(4, ScaleType::f16);
}

void Marlin::codes(const Slice2& slice, uint8_t* to) const {
  static const std::array<int16_t, 1024> kPlaces = places();
  for (int64_t r = 0; r < slice.rows; ++r)
    for (int64_t c = 0; c < slice.columns; ++c) {
      const int64_t row = slice.row + r, column = slice.column + c;
      const int64_t tile = row / 16, at = tile / 4 * 1024 + kPlaces[size_t(tile % 4 * 256 + column % 16 * 16 + row % 16)];
      *to++ = uint8_t(hf::element<uint32_t>(*codes_, column / 16 * 2 * out + at / 8) >> (at % 8 * 4) & 15);
    }
}

}  // namespace

extern const Format format_gptq_marlin;
const Format format_gptq_marlin = grouped::format<Marlin>(
    "gptq_marlin", [](const TensorGroup& group) { return group.part("B") != nullptr && group.part("s") != nullptr; });

}  // namespace gale
