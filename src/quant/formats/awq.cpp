#include "base/checked.h"
#include "base/json.h"
#include "quant/grouped.h"

namespace gale {
namespace {

/// AWQ of 4 bits (Lin et al., "AWQ", 2023) as AutoAWQ writes it (awq/modules/linear/gemm.py and gemv.py). A matrix [out, in] is
///   gemm   qweight  i32 [in, out / 8]      codes of 8 outputs, in the nibbles, from the lowest, outputs 0 2 4 6 1 3 5 7
///          qzeros   i32 [groups, out / 8]  zeros, packed the same
///          scales   f16 [groups, out]
///   gemv   qweight  i32 [out, in / 8]      codes of 8 inputs, the first in the lowest 4 bits
///          qzeros   i32 [out, zeros / 8]   zeros of 8 groups; rows are filled up beyond the groups there are
///          scales   f16 [out, zeros]
/// value = scale x (code - zero).
struct Awq {
  const RawTensor *qweight, *qzeros, *scales;
  bool gemv = false;
  int64_t out = 0, in = 0, size = 0, run = 0;  // size: columns of a group
  Layout layout;

  explicit Awq(const TensorGroup& group);
  float scale(int64_t row, int64_t column) const {
    const int64_t g = column / size;
    return hf::finite_number(*scales, gemv ? row * scales->shape[1] + g : g * out + row);
  }
  float offset(int64_t row, int64_t column) const {
    const int64_t g = column / size;
    return gemv ? float(nibble(*qzeros, row * qzeros->shape[1] + g / 8, int(g % 8)))
                : float(nibble(*qzeros, g * (out / 8) + row / 8, place(row)));
  }
  void codes(const Slice2& slice, uint8_t* to) const;

  static int nibble(const RawTensor& tensor, int64_t word, int at) {
    return int(hf::element<uint32_t>(tensor, word) >> (4 * at) & 15);
  }
  /// The nibble of an output among those of its 8.
  static int place(int64_t row) { return int(row % 2 * 4 + row % 8 / 2); }
};

bool is_gemv(const TensorGroup& group) {
  const std::string version = hf::config_text(group.quantization_config, "version");
  const bool gemv = version == "gemv" || version == "GEMV";
  require(gemv || version.empty() || version == "gemm" || version == "GEMM" || version == "exllama", ErrorCode::unsupported,
          "{}: its AWQ weights are packed in the version \"{}\"; read are gemm and gemv: save the model in one of these",
          group.name, version);
  return gemv;
}

Awq::Awq(const TensorGroup& group)
    : qweight(&hf::part_of(group, "qweight", "AWQ")),
      qzeros(&hf::part_of(group, "qzeros", "AWQ")),
      scales(&hf::part_of(group, "scales", "AWQ")),
      gemv(is_gemv(group)) {
  const Json* config = group.quantization_config;
  const int64_t bits = hf::config_number(config, "bits", hf::config_number(config, "w_bit", 4));
  require(bits == 4, ErrorCode::unsupported, "{}: AWQ of {} bits is not read, only of 4, the only ones that kernels of AWQ have",
          group.name, bits);
  for (const RawTensor* part : {qweight, qzeros, scales})
    require(part->shape.rank() == 2 && part->elements() > 0, ErrorCode::corrupt, "{} is {}, but must be a matrix", part->name,
            part->shape.text());
  hf::check_type(*qweight, qweight->type == TensorType::i32, "AWQ");
  hf::check_type(*qzeros, qzeros->type == TensorType::i32, "AWQ");
  hf::check_type(*scales, hf::is_float(scales->type), "AWQ");
  out = checked_mul(qweight->shape[gemv ? 0 : 1], gemv ? 1 : 8, group.name);
  in = checked_mul(qweight->shape[gemv ? 1 : 0], gemv ? 8 : 1, group.name);
  size = hf::config_number(config, "group_size", hf::config_number(config, "q_group_size", 128));
  if (size <= 0 || size > in) size = in;
  const int64_t groups = ceil_div(in, size);
  hf::check_bytes(*qweight);
  if (gemv) {
    hf::check_shape(group, *scales, {out, std::max(groups, scales->shape[1])}, ": one for each output and group");
    hf::check_shape(group, *qzeros, {out, std::max(ceil_div(groups, 8), qzeros->shape[1])}, ": one for each output and group");
  } else {
    hf::check_shape(group, *scales, {groups, out}, ": one for each group and output");
    hf::check_shape(group, *qzeros, {groups, out / 8}, ": one for each group and output");
  }
  run = std::gcd(size, in);
  layout = hf::with_zeros(4, hf::scale_type(*scales));
}

void Awq::codes(const Slice2& slice, uint8_t* to) const {
  if (gemv) {
    for (int64_t r = 0; r < slice.rows; ++r)
      hf::unpack_bits(qweight->bytes.data() + (slice.row + r) * in / 2, 4, slice.column, slice.columns, to + r * slice.columns);
    return;
  }
  const int64_t words = out / 8;
  for (int64_t c = 0; c < slice.columns; ++c)
    for (int64_t r = 0; r < slice.rows; ++r) {
      const int64_t row = slice.row + r;
      to[r * slice.columns + c] = uint8_t(nibble(*qweight, (slice.column + c) * words + row / 8, place(row)));
    }
}

bool claims(const TensorGroup& group) { return hf::quant_method(group) == "awq" && group.part("qweight") != nullptr; }

}  // namespace

extern const Format format_awq;
const Format format_awq = grouped::format<Awq>("awq", claims);

}  // namespace gale
