#include <fmt/ranges.h>

#include <set>

#include "base/checked.h"
#include "base/json.h"
#include "quant/grouped.h"

namespace gale {
namespace {

/// Integers of compressed-tensors (llm-compressor), its formats "pack-quantized", "int-quantized" and "naive-quantized". Its
/// floats are fp8.cpp's, its 4-bit floats nvfp4_hf.cpp's.
///   weight_packed      i32 [out, in x bits / 32]    codes, 2^(bits - 1) more than they mean, from the lowest bit on
///                      (compressors/pack_quantized/helpers.py)
///   or weight          i8 [out, in]
///   weight_scale       [1], [out, 1] or [out, groups]
///   weight_zero_point  i32 [out x bits / 32, groups], packed as the codes but down the outputs; beside i8 weights i8 [out,
///   groups];
///                      absent where weights are symmetric
///   weight_shape       i64 [2]: out, in
///   weight_g_idx       i32 [in]: the group of each column, where act-order scattered them; all -1 where it did not
/// value = scale x (code - zero). What it says of activations ("w8a8") is how others round them; here they are rounded per row
/// and 32 columns, which is finer.
struct CompressedTensors {
  const RawTensor *weight, *scales, *zeros;
  bool packed = false;
  int bits = 8;
  int64_t out = 0, in = 0, groups = 1, size = 0, run = 0;  // size: columns of a group
  int64_t words = 0;                                       // of a row of codes
  bool per_row = false;                                    // scales
  const RawTensor* g_idx = nullptr;
  std::vector<int32_t> order;
  Layout layout;

  explicit CompressedTensors(const TensorGroup& group);
  void sort_columns(const TensorGroup& group, const RawTensor& idx);
  int64_t group_at(int64_t column) const { return g_idx ? hf::element<int32_t>(*g_idx, column) : column / size; }
  int64_t scale_at(int64_t row, int64_t column) const { return per_row ? row * groups + group_at(column) : 0; }
  float scale(int64_t row, int64_t column) const { return hf::finite_number(*scales, scale_at(row, column)); }
  float offset(int64_t row, int64_t column) const;
  void codes(const Slice2& slice, uint8_t* to) const;
};

/// What the config's groups of layers say of their widths.
std::set<int64_t> bits_said(const Json* config) {
  std::set<int64_t> out;
  if (config == nullptr || !config->is_object()) return out;
  const auto all = config->find("config_groups");
  if (all == config->end() || !all->is_object()) return out;
  for (const auto& [name, one] : all->items())
    if (one.is_object() && one.contains("weights"))
      if (const int64_t bits = hf::config_number(&one["weights"], "num_bits", 0); bits != 0) out.insert(bits);
  return out;
}

/// Of codes in `words` for `in` columns. Where groups of layers differ ("mixed-precision") the shape tells whose this is.
int bits_of(const TensorGroup& group, int64_t words, int64_t in) {
  const std::set<int64_t> said = bits_said(group.quantization_config);
  require(said.empty() || said.contains(4) || said.contains(8), ErrorCode::unsupported,
          "{}: compressed-tensors of {} bits are not read, only of 4 and 8; quantize the model to one of these", group.name,
          fmt::join(said, ", "));
  if (said.size() == 1) return int(*said.begin());
  return words != hf::packed_words(in, 4) && words == hf::packed_words(in, 8) ? 8 : 4;
}

CompressedTensors::CompressedTensors(const TensorGroup& group)
    : weight(group.part("weight_packed")),
      scales(&hf::part_of(group, "weight_scale", "compressed-tensors")),
      zeros(group.part("weight_zero_point")),
      packed(weight != nullptr) {
  constexpr std::string_view kKind = "compressed-tensors";
  hf::check_parts(group, {"weight_packed", "weight", "weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx"}, kKind);
  if (!packed) weight = &hf::part_of(group, "weight", kKind);
  require(weight->shape.rank() == 2 && weight->elements() > 0, ErrorCode::corrupt, "{} is {}, but must be a matrix", weight->name,
          weight->shape.text());
  hf::check_type(*weight, weight->type == (packed ? TensorType::i32 : TensorType::i8), kKind);
  hf::check_type(*scales, hf::is_float(scales->type), kKind);
  hf::check_bytes(*weight);
  hf::check_bytes(*scales);
  out = weight->shape[0], in = weight->shape[1];
  if (packed) {
    const RawTensor& shape = hf::part_of(group, "weight_shape", kKind);
    hf::check_type(shape, shape.type == TensorType::i64 || shape.type == TensorType::i32, kKind);
    hf::check_shape(group, shape, {2}, ": outputs and inputs");
    const auto dim = [&](int64_t i) {
      return shape.type == TensorType::i64 ? hf::element<int64_t>(shape, i) : int64_t(hf::element<int32_t>(shape, i));
    };
    in = dim(1), words = weight->shape[1];
    require(dim(0) == out && in > 0 && in <= INT32_MAX, ErrorCode::corrupt,
            "{}: weight_shape says {} x {}, but the codes are of {} outputs and columns can be 1 to {}; {} is damaged",
            shape.name, dim(0), in, out, INT32_MAX, file_of(shape));
    bits = bits_of(group, words, in);
    require(words == hf::packed_words(in, bits), ErrorCode::corrupt,
            "{}: {} of {} bits are not the {} x {} that weight_shape says", weight->name, weight->shape.text(), bits, out, in);
  }
  per_row = scales->elements() != 1;
  if (per_row) {
    groups = scales->shape.rank() == 2 ? scales->shape[1] : 1;
    require(
        groups > 0 && scales->elements() == checked_mul(out, groups, group.name) && scales->shape[0] == out && in % groups == 0,
        ErrorCode::corrupt, "{} is {}, but {} needs one number, or for each of {} outputs as many as divide {} columns",
        scales->name, scales->shape.text(), group.name, out, in);
  }
  size = run = in / groups;
  if (const RawTensor* idx = group.part("weight_g_idx")) sort_columns(group, *idx);
  layout = zeros == nullptr ? hf::without_zeros(bits, hf::scale_type(*scales)) : hf::with_zeros(bits, hf::scale_type(*scales));
  if (zeros == nullptr) return;
  hf::check_type(*zeros, zeros->type == (packed ? TensorType::i32 : TensorType::i8), kKind);
  if (packed)
    hf::check_shape(group, *zeros, {hf::packed_words(out, bits), groups}, ": a zero for each scale");
  else
    require(zeros->elements() == scales->elements(), ErrorCode::corrupt, "{} is {}, but {} has scales {}", zeros->name,
            zeros->shape.text(), group.name, scales->shape.text());
  hf::check_bytes(*zeros);
}

/// Columns by group, in each as they come. Groups of other sizes than the scales' nobody writes.
void CompressedTensors::sort_columns(const TensorGroup& group, const RawTensor& idx) {
  hf::check_type(idx, idx.type == TensorType::i32, "compressed-tensors");
  hf::check_shape(group, idx, {in}, ": the group of each column");
  std::vector<int64_t> seen(static_cast<size_t>(groups));
  int64_t none = 0;
  for (int64_t i = 0; i < in; ++i) {
    const int64_t at = hf::element<int32_t>(idx, i);
    require(at >= -1 && at < groups, ErrorCode::corrupt, "{}: column {} is in group {}, but there are {}", idx.name, i, at,
            groups);
    at < 0 ? ++none : ++seen[size_t(at)];
  }
  if (none == in) return;
  for (int64_t g = 0; g < groups; ++g)
    require(seen[size_t(g)] == size, ErrorCode::corrupt, "{}: group {} has {} columns, but scales are for {}", idx.name, g,
            seen[size_t(g)], size);
  g_idx = &idx;
  order.resize(static_cast<size_t>(in));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [this](int32_t i) { return std::pair(group_at(i), i); });
  if (std::ranges::is_sorted(order)) g_idx = nullptr, order.clear();
}

float CompressedTensors::offset(int64_t row, int64_t column) const {
  if (!packed) return float(int(hf::element<int8_t>(*zeros, scale_at(row, column))) + 128);
  const int64_t bit = row * bits;  // down a column of words; 4 and 8 bits never cross one
  const auto word = hf::element<uint32_t>(*zeros, bit / 32 * groups + group_at(column));
  return float(word >> bit % 32 & ((1u << bits) - 1));
}

void CompressedTensors::codes(const Slice2& slice, uint8_t* to) const {
  for (int64_t r = 0; r < slice.rows; ++r, to += slice.columns) {
    const std::byte* row = weight->bytes.data() + (slice.row + r) * (packed ? words * 4 : in);
    if (packed) {
      hf::unpack_bits(row, bits, slice.column, slice.columns, to);
      continue;
    }
    std::memcpy(to, row + slice.column, size_t(slice.columns));
    for (int64_t c = 0; c < slice.columns; ++c) to[c] ^= 0x80;
  }
}

bool claims(const TensorGroup& group) {
  const RawTensor* packed = group.part("weight_packed");
  if (packed != nullptr) return packed->type == TensorType::i32;
  const RawTensor* weight = group.part("weight");
  return weight != nullptr && weight->type == TensorType::i8 && group.part("weight_scale") != nullptr;
}

}  // namespace

extern const Format format_compressed_tensors;
const Format format_compressed_tensors = grouped::format<CompressedTensors>("compressed_tensors", claims);

}  // namespace gale
