#include <memory>

#include "base/checked.h"
#include "base/json.h"
#include "quant/file_parts.h"
#include "quant/grouped.h"

namespace gale {
namespace {

/// HQQ (Badri and Shaji, "Half-Quadratic Quantization of Large Machine Learning Models", 2023) as HQQLinear.state_dict writes it
/// (hqq/core/quantize.py and bitpack.py), a tensor for everything it knows:
///   W_q          u8, of 3 bits i32: the matrix reshaped to [R, C] and packed down its rows: with n codes in a word, row i lies
///   in
///                word row i mod ceil(R / n), those of the first words highest. n is 1, 2, 4 or 8, of 3 bits 10
///   scale, zero  f16, bf16 or f32, one for each group; `zero` is no integer
///   nbits, group_size, axis  i32; group_size is absent where a group is a whole row or column
///   shape        i64 [2]: out, in
/// axis 1: a row of [R, C] is a group, C its size; axis 0: a column is one, R its size, so that a group runs down columns of the
/// matrix. value = (code - zero) x scale.
/// Scales and zeros may be quantized in their turn (HQQLinear.quantize, scale_quant_params and zero_quant_params): then they are
/// matrices of this very form, "scale_q" and "zero_q" for W_q and what describes them below "meta_scale" and "meta_zero", under
/// one scale for all where that was not channel_wise. HQQ computes them in half precision, here they are f32.
struct Hqq {
  const RawTensor *packed, *scales, *zeros;    // nullptr where they are quantized
  std::shared_ptr<const Hqq> scale_q, zero_q;  // else nullptr
  int bits = 0;
  int64_t out = 0, in = 0, run = 0, axis = 0, down = 0;
  int64_t across = 0, together = 0, step = 0;  // C, n, rows of words
  bool one = false;                            // scale for all
  Layout layout;

  explicit Hqq(const TensorGroup& group);
  int64_t scale_at(int64_t row, int64_t column) const {
    const int64_t i = row * in + column;
    return one ? 0 : axis == 1 ? i / across : i % across;
  }
  float scale(int64_t row, int64_t column) const { return number(scales, scale_q, scale_at(row, column)); }
  float offset(int64_t row, int64_t column) const { return number(zeros, zero_q, scale_at(row, column)); }
  static float number(const RawTensor* plain, const std::shared_ptr<const Hqq>& quantized, int64_t i) {
    return plain != nullptr ? hf::finite_number(*plain, i) : quantized->value(i);
  }
  float value(int64_t i) const { return (float(code(i)) - offset(i / in, i % in)) * scale(i / in, i % in); }
  uint8_t code(int64_t at) const {
    const int64_t i = at / across, word = i % step * across + at % across, shift = (together - 1 - i / step) * bits;
    const uint32_t all = bits == 3 ? hf::element<uint32_t>(*packed, word) : hf::element<uint8_t>(*packed, word);
    return uint8_t(all >> shift & ((1u << bits) - 1));
  }
  void codes(const Slice2& slice, uint8_t* to) const {
    for (int64_t r = 0; r < slice.rows; ++r)
      for (int64_t c = 0; c < slice.columns; ++c) *to++ = code((slice.row + r) * in + slice.column + c);
  }
};

/// The whole number a part of one element holds.
int64_t whole(const RawTensor& part) {
  hf::check_bytes(part);
  require(part.elements() == 1, ErrorCode::corrupt, "{} is {}, but must be one number", part.name, part.shape.text());
  switch (part.type) {
    case TensorType::i64:
      return hf::element<int64_t>(part, 0);
    case TensorType::i32:
      return hf::element<int32_t>(part, 0);
    case TensorType::u32:
      return hf::element<uint32_t>(part, 0);
    case TensorType::u8:
      return hf::element<uint8_t>(part, 0);
    default:
      fail(ErrorCode::corrupt, "{}: a number of type {} is none of HQQ's", part.name, tensor_type_info(part.type).name);
  }
}
int64_t whole(const TensorGroup& group, std::string_view suffix) { return whole(hf::part_of(group, suffix, "HQQ")); }

/// "scale" or "zero" as a matrix of its own; nullptr where it is not quantized.
std::shared_ptr<const Hqq> quantized_part(const TensorGroup& group, std::string_view name) {
  const RawTensor* codes = group.part(fmt::format("{}_q", name));
  if (codes == nullptr) return nullptr;
  const std::string below = fmt::format("meta_{}.", name);
  TensorGroup own;
  own.name = fmt::format("{}.{}_q", group.name, name);
  own.parts["W_q"] = codes;
  for (const auto& [suffix, part] : group.parts)
    if (suffix.starts_with(below)) own.parts[suffix.substr(below.size())] = part;
  require(!own.parts.contains("scale_q") && !own.parts.contains("zero_q"), ErrorCode::corrupt,
          "{} is quantized by numbers that are quantized themselves", own.name);  // nothing in a file may nest without end
  return std::make_shared<const Hqq>(own);
}

Hqq::Hqq(const TensorGroup& group)
    : packed(&hf::part_of(group, "W_q", "HQQ")),
      scales(nullptr),
      zeros(nullptr),
      scale_q(quantized_part(group, "scale")),
      zero_q(quantized_part(group, "zero")),
      bits(int(whole(group, "nbits"))),
      axis(whole(group, "axis")) {
  require(bits == 1 || bits == 2 || bits == 3 || bits == 4 || bits == 8, ErrorCode::unsupported,
          "{}: HQQ of {} bits is not read, only of 1, 2, 3, 4 and 8", group.name, bits);
  require(axis == 0 || axis == 1, ErrorCode::corrupt, "{}.axis is {}, but must be 0 or 1", group.name, axis);
  if (const RawTensor* floats = group.part("view_as_float"))
    require(whole(*floats) == 0, ErrorCode::unsupported,
            "{}: codes that pretend to be floats are not read; save with view_as_float off", floats->name);
  const RawTensor& shape = hf::part_of(group, "shape", "HQQ");
  hf::check_type(shape, shape.type == TensorType::i64, "HQQ");
  hf::check_shape(group, shape, {2}, ": outputs and inputs");
  out = hf::element<int64_t>(shape, 0), in = hf::element<int64_t>(shape, 1);
  require(out > 0 && in > 0 && out <= INT32_MAX && in <= INT32_MAX, ErrorCode::corrupt, "{} says [{}, {}]", shape.name, out, in);
  const int64_t n = out * in;
  if (!scale_q) scales = &hf::part_of(group, "scale", "HQQ");
  if (!zero_q) zeros = &hf::part_of(group, "zero", "HQQ");
  const RawTensor* said = group.part("group_size");
  one = said == nullptr && n > 1 && scales != nullptr && zeros != nullptr && scales->elements() == 1 && zeros->elements() == 1;
  const int64_t size = said != nullptr ? whole(*said) : axis == 1 ? in : out;
  require(size > 0 && n % size == 0, ErrorCode::corrupt, "{}: {} x {} weights are no whole groups of {}", group.name, out, in,
          size);
  across = axis == 1 ? size : n / size;
  const int64_t rows = n / across;
  together = bits == 3 ? 10 : 8 / bits;
  step = ceil_div(rows, together);
  hf::check_type(*packed, packed->type == (bits == 3 ? TensorType::i32 : TensorType::u8), "HQQ");
  hf::check_shape(group, *packed, {step, across}, fmt::format(" in {} bits along axis {}, in groups of {}", bits, axis, size));
  for (const auto& [part, own] : {std::pair(scales, scale_q), {zeros, zero_q}}) {
    if (own != nullptr) {
      require(own->out * own->in == n / size, ErrorCode::corrupt, "{} are [{}, {}] quantized numbers, but {} has {} groups of {}",
              own->packed->name, own->out, own->in, group.name, n / size, size);
      continue;
    }
    hf::check_type(*part, hf::is_float(part->type), "HQQ");
    hf::check_bytes(*part);
    require(part->elements() == (one ? 1 : n / size), ErrorCode::corrupt, "{} is {}, but {} has {} groups of {}", part->name,
            part->shape.text(), group.name, n / size, size);
  }
  run = axis == 1 || one ? std::gcd(size, in) : 1;
  down = axis == 0 && !one && out % size == 0 ? size : 0;
  const bool alike = scales != nullptr && zeros != nullptr && scales->type == zeros->type;
  layout = {.kind = Layout::Kind::grouped,
            .bits = uint8_t(std::max(bits, 2)),
            .top = alike ? hf::scale_type(*scales) : ScaleType::f32,
            .real_zeros = true};
}

/// As HQQLinear.state_dict does (hqq/core/quantize.py), which has a tensor for each of its settings.
std::vector<FilePart> encode(const MadeMatrix& made) {
  const int bits = made.bits();
  const int64_t size = made.layout.block, rows = made.rows * made.columns / size;
  const int64_t together = bits == 3 ? 10 : 8 / bits, step = ceil_div(rows, together);
  const TensorType word = bits == 3 ? TensorType::i32 : TensorType::u8;
  file_parts::Parts parts(made);
  parts.add("W_q", word, {step, size}, [&](std::byte* to) {
    for (int64_t i = 0; i < rows * size; ++i) {
      const int64_t row = i / size, at = row % step * size + i % size, shift = (together - 1 - row / step) * bits;
      const uint32_t code = uint32_t(made.groups->codes[size_t(i)]) << shift;
      if (bits != 3) {
        to[at] |= std::byte(code);
        continue;
      }
      uint32_t all;
      std::memcpy(&all, to + at * 4, 4);
      all |= code;
      std::memcpy(to + at * 4, &all, 4);
    }
  });
  parts.add("scale", TensorType::f16, {rows, 1}, [&](std::byte* to) {
    for (int64_t i = 0; i < rows; ++i) file_parts::store_f16(to, i, made.top(0, i));
  });
  parts.add("zero", TensorType::f16, {rows, 1}, [&](std::byte* to) {
    for (int64_t i = 0; i < rows; ++i) file_parts::store_f16(to, i, made.top_min(0, i));
  });
  const int64_t shape[] = {made.rows, made.columns};
  parts.constant<int64_t>("shape", TensorType::i64, {2}, shape);
  parts.number("nbits", TensorType::i32, int32_t(bits));
  parts.number("group_size", TensorType::i32, int32_t(size));
  parts.number("axis", TensorType::i32, int32_t(1));
  parts.text("packing", bits == 3 ? "3bit_32" : fmt::format("{}bit_u8", bits));
  parts.text("unpack_view_dtype", bits == 3 ? "torch.int32" : "torch.uint8");
  parts.text("compute_dtype", "torch.float16");
  for (const char* off : {"view_as_float", "quant_scale", "quant_zero", "offload_meta"})
    parts.number(off, TensorType::u8, uint8_t(0));
  for (const char* on : {"encoded_state_dict", "stores_quant_config", "channel_wise", "optimize"})
    parts.number(on, TensorType::u8, uint8_t(1));
  parts.number("round_zero", TensorType::u8, uint8_t(bits == 4));
  return parts.take();
}

Json file_config(const Format& made, std::span<const FileModule> others) {
  const Json weights{{"nbits", made.file_bits},
                     {"group_size", tensor_type_info(made.stored).block},
                     {"axis", 1},
                     {"channel_wise", true},
                     {"optimize", true},
                     {"round_zero", made.file_bits == 4},
                     {"view_as_float", false}};
  return {{"quantization_config",
           {{"quant_method", "hqq"},
            {"quant_config",
             {{"weight_quant_params", weights},
              {"scale_quant_params", nullptr},
              {"zero_quant_params", nullptr},
              {"offload_meta", false}}},
            {"skip_modules", file_parts::names_of(others)}}}};
}

constexpr Format with_files() {
  Format out = grouped::format<Hqq>("hqq", [](const TensorGroup& group) { return group.part("W_q") != nullptr; });
  out.encode = encode, out.file_config = file_config;
  return out;
}

}  // namespace

extern const Format format_hqq;
const Format format_hqq = with_files();

}  // namespace gale
