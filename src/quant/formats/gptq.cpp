#include <algorithm>
#include <array>
#include <utility>

#include "base/checked.h"
#include "base/json.h"
#include "quant/blocks.h"

namespace gale {
namespace {

/// GPTQ of 4 bits as AutoGPTQ and GPTQModel write it (Frantar et al., "GPTQ", 2022). A matrix [out, in] is
///   qweight  i32 [in / 8, out]      codes of 8 consecutive input columns, the first in the lowest 4 bits
///   scales   f16 [groups, out]
///   qzeros   i32 [groups, out / 8]  zeros of 8 consecutive outputs; in checkpoint_format "gptq" (v1) one less than they mean, in
///                                   "gptq_v2" themselves
///   g_idx    i32 [in]               the group of each column (act-order scatters them); absent: column / group_size
/// value = scale * (code - zero). A stored 15 in v1 means 16: some kernels wrap it to 0, others (exllama, which most people ran)
/// do not, and neither do we.
struct Gptq {
  const RawTensor *qweight, *qzeros, *scales, *g_idx;
  int64_t in = 0, out = 0, groups = 0;
  int64_t group_size = 0;  // where there is no g_idx
  int zero_offset = 0;     // what the stored zeros lack

  explicit Gptq(const TensorGroup& group);
  int64_t group_of(int64_t column) const;
  float scale(int64_t group, int64_t row) const;
  int zero(int64_t group, int64_t row) const;
  uint32_t codes(int64_t column, int64_t row) const { return word(*qweight, column / 8 * out + row); }

  static uint32_t word(const RawTensor& tensor, int64_t i) {
    uint32_t value;
    std::memcpy(&value, tensor.bytes.data() + i * 4, 4);
    return value;
  }
};

constexpr int kBits = 4, kPerWord = 32 / kBits;
constexpr std::array<int16_t, 4> kWidths = {256, 128, 64, 32};  // of groups that kernels have, the cheapest first

const RawTensor& part_of(const TensorGroup& group, std::string_view suffix) {
  const RawTensor* part = group.part(suffix);
  require(part != nullptr, ErrorCode::corrupt, "{}: no tensor \"{}.{}\", which GPTQ weights have", group.name, group.name,
          suffix);
  return *part;
}

void check_part(const TensorGroup& group, const RawTensor& part, bool right_type, const Shape& shape, std::string_view why) {
  require(right_type, ErrorCode::corrupt, "{}: a GPTQ weight cannot have a part of type {}", part.name,
          tensor_type_info(part.type).name);
  require(part.shape == shape, ErrorCode::corrupt, "{} is {}, but {} needs {} in {} bits{}", part.name, part.shape.text(),
          group.name, shape.text(), kBits, why);
  require(int64_t(part.bytes.size()) == row_bytes(part.type, part.elements(), part.name), ErrorCode::corrupt,
          "{} has {} bytes, its shape {} takes {}; {} is damaged", part.name, part.bytes.size(), part.shape.text(),
          row_bytes(part.type, part.elements(), part.name), part.source);
}

int64_t config_number(const Json* config, const char* key, int64_t fallback) {
  if (config == nullptr || !config->is_object()) return fallback;
  const auto found = config->find(key);
  return found != config->end() && found->is_number_integer() ? found->get<int64_t>() : fallback;
}
std::string config_text(const Json* config, const char* key) {
  if (config == nullptr || !config->is_object()) return "";
  const auto found = config->find(key);
  return found != config->end() && found->is_string() ? found->get<std::string>() : "";
}
bool config_flag(const Json* config, const char* key) {
  if (config == nullptr || !config->is_object()) return false;
  const auto found = config->find(key);
  return found != config->end() && found->is_boolean() && found->get<bool>();
}

/// 1 for "gptq", 0 for "gptq_v2".
int zero_offset_of(const TensorGroup& group) {
  const std::string form = config_text(group.quantization_config, "checkpoint_format");
  const bool marlin = form == "marlin" || config_flag(group.quantization_config, "is_marlin_format");
  require(
      !marlin, ErrorCode::unsupported,
      "{}: its GPTQ weights are shuffled for the Marlin kernel (\"checkpoint_format\": \"marlin\"); take the checkpoint in the "
      "form \"gptq\" or \"gptq_v2\"",
      group.name);
  require(form.empty() || form == "gptq" || form == "gptq_v2", ErrorCode::unsupported,
          "{}: unknown \"checkpoint_format\" \"{}\" of GPTQ weights; known: gptq, gptq_v2", group.name, form);
  return form == "gptq_v2" ? 0 : 1;
}

Gptq::Gptq(const TensorGroup& group)
    : qweight(&part_of(group, "qweight")),
      qzeros(&part_of(group, "qzeros")),
      scales(&part_of(group, "scales")),
      g_idx(group.part("g_idx")),
      zero_offset(zero_offset_of(group)) {
  const Json* config = group.quantization_config;
  const int64_t bits = config_number(config, "bits", kBits);
  require(bits == kBits, ErrorCode::unsupported,
          "{}: GPTQ of {} bits is not read, only of {}; take the model in another form (gale doctor lists them)", group.name,
          bits, kBits);
  require(qweight->shape.rank() == 2 && scales->shape.rank() == 2 && qweight->elements() > 0 && scales->elements() > 0,
          ErrorCode::corrupt, "{}: qweight {} and scales {} must be matrices", group.name, qweight->shape.text(),
          scales->shape.text());
  require(qweight->shape[0] <= INT32_MAX / kPerWord, ErrorCode::corrupt, "{}: {} are more columns than any model has",
          qweight->name, qweight->shape.text());
  in = checked_mul(qweight->shape[0], kPerWord, group.name);
  out = qweight->shape[1];
  groups = scales->shape[0];
  const auto is_float = [](TensorType t) { return t == TensorType::f16 || t == TensorType::bf16 || t == TensorType::f32; };
  check_part(group, *qweight, qweight->type == TensorType::i32, {in / kPerWord, out}, "");
  check_part(group, *scales, is_float(scales->type), {groups, out}, ": one for each output");
  require(out % kPerWord == 0, ErrorCode::corrupt, "{}: {} outputs are no multiple of {}, as their zeros are packed", group.name,
          out, kPerWord);
  check_part(group, *qzeros, qzeros->type == TensorType::i32, {groups, out / kPerWord}, ": as many groups as scales");
  if (g_idx != nullptr) {
    check_part(group, *g_idx, g_idx->type == TensorType::i32, {in}, ": one for each input");
    for (int64_t i = 0; i < in; ++i)
      require(group_of(i) >= 0 && group_of(i) < groups, ErrorCode::corrupt, "{}: column {} is in group {}, but there are {}",
              g_idx->name, i, group_of(i), groups);
    return;
  }
  require(!config_flag(config, "desc_act"), ErrorCode::corrupt,
          "{}: no tensor \"{}.g_idx\", although \"desc_act\" says that its columns are scattered over groups", group.name,
          group.name);
  group_size = config_number(config, "group_size", -1);
  if (group_size <= 0 || group_size > in) group_size = in;
  require(ceil_div(in, group_size) == groups, ErrorCode::corrupt,
          "{}: {} columns in groups of {} are {} groups, but there are scales of {}", group.name, in, group_size,
          ceil_div(in, group_size), groups);
}

int64_t Gptq::group_of(int64_t column) const { return g_idx ? int32_t(word(*g_idx, column)) : column / group_size; }

/// As f32. Throws Error{corrupt} where it is no number, Error{unsupported} where f16, as which kernels keep it, does not hold it.
float Gptq::scale(int64_t group, int64_t row) const {
  const int64_t i = group * out + row;
  float value;
  if (scales->type == TensorType::f32)
    std::memcpy(&value, scales->bytes.data() + i * 4, 4);
  else
    value = scales->type == TensorType::f16 ? blocks::load_f16(scales->bytes.data() + i * 2)
                                            : bf16_to_f32(blocks::load_u16(scales->bytes.data() + i * 2));
  require(std::isfinite(value), ErrorCode::corrupt, "{}: the scale of group {}, output {} is not a finite number; {} is damaged",
          scales->name, group, row, scales->source.empty() ? "the file" : scales->source);
  require(f16_to_f32(f32_to_f16(value)) == value, ErrorCode::unsupported,
          "{}: the scale of group {}, output {} is {}, which f16 does not hold exactly; store the scales as f16", scales->name,
          group, row, value);
  return value;
}

int Gptq::zero(int64_t group, int64_t row) const {
  const uint32_t packed = word(*qzeros, group * (out / kPerWord) + row / kPerWord);
  return int(packed >> (row % kPerWord * kBits) & 15) + zero_offset;
}

std::vector<int64_t> columns_of_groups(const Gptq& w) {
  std::vector<int64_t> out(static_cast<size_t>(w.groups));
  for (int64_t i = 0; i < w.in; ++i) ++out[size_t(w.group_of(i))];
  return out;
}

/// The columns by group, in each as they come: a counting sort.
std::vector<int32_t> sorted_columns(const Gptq& w) {
  std::vector<int64_t> next = columns_of_groups(w);
  int64_t before = 0;
  for (int64_t& n : next) before += std::exchange(n, before);
  std::vector<int32_t> out(static_cast<size_t>(w.in));
  for (int64_t i = 0; i < w.in; ++i) out[size_t(next[size_t(w.group_of(i))]++)] = int32_t(i);
  return out;
}

std::vector<int32_t> order_of(const TensorGroup& group) {
  std::vector<int32_t> out = sorted_columns(Gptq(group));
  if (std::ranges::is_sorted(out)) out.clear();
  return out;
}

/// The widest groups of the kernels that no group of the file is cut by. A scale that stands for more columns is repeated.
Layout layout_of(const TensorGroup& group) {
  const std::vector<int64_t> columns = columns_of_groups(Gptq(group));
  for (const int16_t width : kWidths)
    if (std::ranges::all_of(columns, [=](int64_t n) { return n % width == 0; }))
      return {.kind = Layout::Kind::grouped, .bits = kBits, .group = width, .block = width, .top = ScaleType::f16, .zeros = true};
  const auto odd = std::ranges::find_if(columns, [](int64_t n) { return n % kWidths.back() != 0; });
  fail(ErrorCode::unsupported, "{}: group {} has {} columns; GPTQ groups must be multiples of {}", group.name,
       odd - columns.begin(), *odd, kWidths.back());
}

void dequantize(const TensorGroup& group, const Slice2& slice, float* out) {
  const Gptq w(group);
  blocks::check_slice(group.name, {w.out, w.in}, slice, 1);
  std::vector<float> scales(static_cast<size_t>(w.groups));
  std::vector<int> zeros(scales.size());
  for (int64_t row = slice.row; row < slice.row + slice.rows; ++row) {
    for (int64_t g = 0; g < w.groups; ++g) scales[size_t(g)] = w.scale(g, row), zeros[size_t(g)] = w.zero(g, row);
    for (int64_t column = slice.column; column < slice.column + slice.columns; ++column) {
      const auto g = size_t(w.group_of(column));
      const int code = int(w.codes(column, row) >> (column % kPerWord * kBits) & 15);
      *out++ = scales[g] * float(code - zeros[g]);
    }
  }
}

/// Codes of 8 columns at a time: a byte of a word for each, for up to kRows outputs.
void take_codes(const Gptq& w, const int32_t* columns, int64_t first_row, int64_t rows, int64_t stride, uint8_t* to) {
  constexpr int64_t kRows = 64;
  for (int64_t row = 0; row < rows; row += kRows) {
    const int64_t n = std::min(kRows, rows - row);
    uint64_t bytes[kRows] = {};
    for (int i = 0; i < 8; ++i) {
      const std::byte* words = w.qweight->bytes.data() + (columns[i] / kPerWord * w.out + first_row + row) * 4;
      const int shift = columns[i] % kPerWord * kBits;
      for (int64_t r = 0; r < n; ++r) {
        uint32_t word;
        std::memcpy(&word, words + r * 4, 4);
        bytes[r] |= uint64_t(word >> shift & 15) << (8 * i);
      }
    }
    for (int64_t r = 0; r < n; ++r) std::memcpy(to + (row + r) * stride, &bytes[r], 8);
  }
}

void groups(const TensorGroup& group, const Slice2& slice, LogicalGroups& out) {
  const Gptq w(group);
  const Layout layout = layout_of(group);
  blocks::check_slice(group.name, {w.out, w.in}, slice, layout.block);
  out.resize(layout, slice);
  const std::vector<int32_t> order = sorted_columns(w);
  const int32_t* columns = order.data() + slice.column;
  for (int64_t c = 0; c < slice.columns; c += 8)
    take_codes(w, columns + c, slice.row, slice.rows, slice.columns, out.codes.data() + c);
  const int64_t blocks = slice.columns / layout.block;
  for (int64_t r = 0; r < slice.rows; ++r)
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t g = w.group_of(columns[b * layout.block]);
      out.top[size_t(r * blocks + b)] = w.scale(g, slice.row + r);
      out.zero[size_t(r * blocks + b)] = uint8_t(w.zero(g, slice.row + r));
    }
}

/// Everything without a plain weight in a GPTQ checkpoint, so that what is odd about it is said here; the usual four parts where
/// the config does not tell (quantize_config.json of old).
bool claims(const TensorGroup& group) {
  if (group.parts.empty() || group.part("weight") != nullptr) return false;
  if (group.quantization_config != nullptr) return config_text(group.quantization_config, "quant_method") == "gptq";
  return group.part("qweight") && group.part("qzeros") && group.part("scales") && group.part("g_idx");
}

}  // namespace

extern const Format format_gptq;
const Format format_gptq = {
    .name = "gptq",
    .claims = claims,
    .shape =
        [](const TensorGroup& group) {
          const Gptq w(group);
          return std::pair(w.out, w.in);
        },
    .layout = layout_of,
    .dequantize = dequantize,
    .groups = groups,
    .order = order_of,
};

}  // namespace gale
