#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/checked.h"
#include "base/json.h"
#include "base/rng.h"
#include "checkpoint/hf_experts.h"
#include "quant/blocks.h"
#include "quant/file_parts.h"
#include "quant/gptq_dynamic.h"
#include "quant/hf_parts.h"

namespace gale {
namespace {

using hf::config_flag;
using hf::config_number;
using hf::config_text;

/// GPTQ of 2, 3, 4 or 8 bits as AutoGPTQ and GPTQModel write it (Frantar et al., "GPTQ", 2022). A matrix [out, in] is
///   qweight  i32 [in x bits / 32, out]      codes of consecutive input columns, the first in the lowest bits; of 3 bits 32 of
///   them in
///                                           three words, over the borders of words
///   scales   f16, bf16 or f32 [groups, out]
///   qzeros   i32 [groups, out x bits / 32]  zeros of consecutive outputs; in checkpoint_format "gptq" (v1) one less than they
///   mean,
///                                           in "gptq_v2" themselves
///   g_idx    i32 [in]                       the group of each column (act-order scatters them); absent: column / group_size
/// Which of the two forms a file is in says its config, quantize_config.json of old. A config without the key means v1, as
/// GPTQModel and transformers read it, but for zeros that all are in the middle: symmetric weights, which v1 stores one lower.
/// Without any config the zeros and codes tell. value = scale * (code - zero). The largest stored zero means one more in v1: some
/// kernels wrap it to 0, others (exllama, which most people ran) do not, and neither do we.
struct Gptq {
  const RawTensor *qweight, *qzeros, *scales, *g_idx;
  int bits = 4;
  int64_t in = 0, out = 0, groups = 0;
  int64_t group_size = 0;  // where there is no g_idx
  int zero_offset = 0;     // what the stored zeros lack

  explicit Gptq(const TensorGroup& group);
  int64_t group_of(int64_t column) const;
  float scale(int64_t group, int64_t row) const;
  int zero_stored(int64_t group, int64_t row) const;
  int zero(int64_t group, int64_t row) const { return zero_stored(group, row) + zero_offset; }
  int code(int64_t column, int64_t row) const { return bits_at(*qweight, column * bits, row, out); }

  static uint32_t word(const RawTensor& tensor, int64_t i) { return hf::element<uint32_t>(tensor, i); }
  int64_t bits_by_shapes() const;
  void find_groups(const TensorGroup& group, bool told);
  int zero_offset_by_codes(const TensorGroup& group) const;
  bool all_zeros_are(int stored) const;
  /// The code that begins at `bit` of a column of words, `stride` apart.
  int bits_at(const RawTensor& tensor, int64_t bit, int64_t column, int64_t stride) const {
    const int64_t at = bit / 32, shift = bit % 32;
    uint64_t both = word(tensor, at * stride + column);
    if (shift + bits > 32) both |= uint64_t(word(tensor, (at + 1) * stride + column)) << 32;
    return int(both >> shift & ((1u << bits) - 1));
  }
};

constexpr std::array<int16_t, 4> kWidths = {256, 128, 64, 32};  // of groups that kernels have, the cheapest first

const RawTensor& part_of(const TensorGroup& group, std::string_view suffix) { return hf::part_of(group, suffix, "GPTQ"); }

void check_part(const TensorGroup& group, const RawTensor& part, bool right_type, const Shape& shape, int bits,
                std::string_view why) {
  hf::check_type(part, right_type, "GPTQ");
  hf::check_shape(group, part, shape, fmt::format(" in {} bits{}", bits, why));
}

constexpr int kUntold = -1, kUsual = -2;
/// 1 for "gptq", 0 for "gptq_v2"; kUntold where there is no config, kUsual where there is one that does not say it.
int zero_offset_of(const TensorGroup& group) {
  if (group.quantization_config == nullptr) return kUntold;
  const std::string form = config_text(group.quantization_config, "checkpoint_format");
  const bool marlin = form == "marlin" || config_flag(group.quantization_config, "is_marlin_format");
  require(!marlin, ErrorCode::unsupported,
          "{}: its config says that GPTQ weights are shuffled for the Marlin kernel, but tensors \"{}.B\" and \"{}.s\" are not "
          "there; "
          "take the checkpoint in the form \"gptq\" or \"gptq_v2\"",
          group.name, group.name, group.name);
  require(form.empty() || form == "gptq" || form == "gptq_v2", ErrorCode::unsupported,
          "{}: unknown \"checkpoint_format\" \"{}\" of GPTQ weights; known: gptq, gptq_v2, marlin", group.name, form);
  return form.empty() ? kUsual : form == "gptq_v2" ? 0 : 1;
}

Gptq::Gptq(const TensorGroup& group)
    : qweight(&part_of(group, "qweight")),
      qzeros(&part_of(group, "qzeros")),
      scales(&part_of(group, "scales")),
      g_idx(group.part("g_idx")),
      zero_offset(zero_offset_of(group)) {
  require(qweight->shape.rank() == 2 && scales->shape.rank() == 2 && qweight->elements() > 0 && scales->elements() > 0,
          ErrorCode::corrupt, "{}: qweight {} and scales {} must be matrices", group.name, qweight->shape.text(),
          scales->shape.text());
  const Json* config = group.quantization_config;
  const bool told = config != nullptr && !has_gptq_rules(config);  // the same of all modules
  const int64_t said = told ? config_number(config, "bits", 4) : bits_by_shapes();
  require(said == 2 || said == 3 || said == 4 || said == 8, ErrorCode::unsupported,
          "{}: GPTQ of {} bits is not read, only of 2, 3, 4 and 8; take the model in another form (gale doctor lists them)",
          group.name, said);
  bits = int(said);
  const int64_t words = qweight->shape[0], together = bits == 3 ? 3 : 1;  // words that hold whole codes
  require(words <= INT32_MAX / 32 && words % together == 0, ErrorCode::corrupt, "{}: {} words are no whole columns of {} bits",
          qweight->name, words, bits);
  in = words * 32 / bits;
  out = qweight->shape[1];
  groups = scales->shape[0];
  check_part(group, *qweight, qweight->type == TensorType::i32, {words, out}, bits, "");
  check_part(group, *scales, hf::is_float(scales->type), {groups, out}, bits, ": one for each output");
  require(out <= INT32_MAX && out * bits % 32 == 0, ErrorCode::corrupt, "{}: zeros of {} outputs of {} bits are no whole words",
          group.name, out, bits);
  check_part(group, *qzeros, qzeros->type == TensorType::i32, {groups, out * bits / 32}, bits, ": as many groups as scales");
  find_groups(group, told);
  if (zero_offset == kUntold) zero_offset = zero_offset_by_codes(group);
  if (zero_offset == kUsual) zero_offset = all_zeros_are(1 << (bits - 1)) ? 0 : 1;
}

/// By the words that the zeros of all outputs take.
int64_t Gptq::bits_by_shapes() const {
  const int64_t outputs = qweight->shape[1], words = qzeros->shape.rank() == 2 ? qzeros->shape[1] : 0;
  require(words > 0 && words <= INT32_MAX && words * 32 % outputs == 0, ErrorCode::corrupt,
          "{} is {}, which no number of bits makes of {} outputs", qzeros->name, qzeros->shape.text(), outputs);
  return words * 32 / outputs;
}

void Gptq::find_groups(const TensorGroup& group, bool told) {
  const Json* config = group.quantization_config;
  if (g_idx != nullptr) {
    check_part(group, *g_idx, g_idx->type == TensorType::i32, {in}, bits, ": one for each input");
    for (int64_t i = 0; i < in; ++i)
      require(group_of(i) >= 0 && group_of(i) < groups, ErrorCode::corrupt, "{}: column {} is in group {}, but there are {}",
              g_idx->name, i, group_of(i), groups);
    const int64_t said = told ? config_number(config, "group_size", 0) : 0, size = said < 0 || said > in ? in : said;
    require(size == 0 || ceil_div(in, size) == groups, ErrorCode::corrupt,
            "{}: {} columns in groups of {}, as \"group_size\" says, are {} groups, but there are scales of {}", group.name, in,
            said, size == 0 ? 0 : ceil_div(in, size), groups);
    return;
  }
  require(!told || !config_flag(config, "desc_act"), ErrorCode::corrupt,
          "{}: no tensor \"{}.g_idx\", although \"desc_act\" says that its columns are scattered over groups", group.name,
          group.name);
  group_size = config_number(config, "group_size", -1);
  if (!told && in % groups == 0) group_size = in / groups;
  if (group_size <= 0 || group_size > in) group_size = in;
  require(ceil_div(in, group_size) == groups, ErrorCode::corrupt,
          "{}: {} columns in groups of {} are {} groups, but there are scales of {}", group.name, in, group_size,
          ceil_div(in, group_size), groups);
}

bool Gptq::all_zeros_are(int stored) const {
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t row = 0; row < out; ++row)
      if (zero_stored(g, row) != stored) return false;
  return true;
}

/// Symmetric weights have all their zeros in the middle of the codes, which are stored one lower in v1. Of others the codes tell:
/// weights scatter around 0, so that codes do around the zeros, and around one more than what is stored in v1. As many codes as
/// tell for certain, or none.
int Gptq::zero_offset_by_codes(const TensorGroup& group) const {
  constexpr int64_t kLooked = 16384;
  constexpr double kNear = 0.25, kCertain = 4;  // of the step between the two; standard errors of the mean
  const int middle = 1 << (bits - 1), first = zero_stored(0, 0);
  if ((first == middle || first == middle - 1) && all_zeros_are(first)) return first == middle ? 0 : 1;
  SplitMix64 random{1};
  double sum = 0, squares = 0;
  const int64_t n = std::min(kLooked, in * out);
  for (int64_t i = 0; i < n; ++i) {
    const auto at = int64_t(random() % uint64_t(in * out)), row = at / in, column = at % in;
    const double apart = code(column, row) - zero_stored(group_of(column), row);
    sum += apart;
    squares += apart * apart;
  }
  const double mean = sum / double(n), error = std::sqrt(std::max(0.0, squares / double(n) - mean * mean) / double(n));
  if (kCertain * error < kNear)
    for (const int offset : {0, 1})
      if (std::fabs(mean - offset) < kNear) return offset;
  fail(
      ErrorCode::unsupported,
      "{}: no config says whether its zeros are stored one lower than they mean (\"gptq\") or as they are (\"gptq_v2\"), and its "
      "codes do not tell; put quantize_config.json beside it, such as {{\"bits\": {}, \"checkpoint_format\": \"gptq\"}}",
      group.name, bits);
}

/// That a module is what the config says of it, where that has rules: its own tensors say it too.
void check_settings(const TensorGroup& group, const Gptq& w) {
  if (!has_gptq_rules(group.quantization_config)) return;
  const bool published = w.qweight->source.find(".block_sparse_moe.") != std::string::npos;  // Mixtral's own names
  const std::string module = published ? published_expert_name(group.name) : group.name;
  const GptqSettings said = gptq_settings(group.quantization_config, module);
  const std::string by = said.rule.empty() ? "" : fmt::format(" by \"{}\"", said.rule);
  require(said.quantized, ErrorCode::corrupt, "{}: its config says{} that it is not quantized, but its tensors are GPTQ's",
          group.name, by);
  require(!said.bits || *said.bits == w.bits, ErrorCode::corrupt, "{}: its config says {} bits{}, but its tensors have {}",
          group.name, said.bits.value_or(0), by, w.bits);
  const int64_t size = said.group_size.value_or(0), whole = size <= 0 || size > w.in ? w.in : size;
  require(!said.group_size || ceil_div(w.in, whole) == w.groups, ErrorCode::corrupt,
          "{}: its config says groups of {}{}, which are {} in {} columns, but there are scales of {}", group.name, size, by,
          ceil_div(w.in, whole), w.in, w.groups);
  require(!said.desc_act || w.g_idx != nullptr || w.groups == 1, ErrorCode::corrupt,
          "{}: no tensor \"{}.g_idx\", although \"desc_act\" says{} that its columns are scattered over groups", group.name,
          group.name, by);
}

int64_t Gptq::group_of(int64_t column) const { return g_idx ? int32_t(word(*g_idx, column)) : column / group_size; }

float Gptq::scale(int64_t group, int64_t row) const {
  const float value = hf::number(*scales, group * out + row);
  require(std::isfinite(value), ErrorCode::corrupt, "{}: the scale of group {}, output {} is not a finite number; {} is damaged",
          scales->name, group, row, file_of(*scales));
  return value;
}

int Gptq::zero_stored(int64_t group, int64_t row) const {
  // A row of words is a column of one.
  const int64_t bit = row * bits, words = out * bits / 32;
  uint64_t both = word(*qzeros, group * words + bit / 32);
  if (bit % 32 + bits > 32) both |= uint64_t(word(*qzeros, group * words + bit / 32 + 1)) << 32;
  return int(both >> bit % 32 & ((1u << bits) - 1));
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
  const Gptq w(group);
  const std::vector<int64_t> columns = columns_of_groups(w);
  for (const int16_t width : kWidths)
    if (std::ranges::all_of(columns, [=](int64_t n) { return n % width == 0; })) {
      Layout out = hf::with_zeros(w.bits, hf::scale_type(*w.scales));
      out.group = out.block = width;
      return out;
    }
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
      *out++ = scales[g] * float(w.code(column, row) - zeros[g]);
    }
  }
}

constexpr int kPerWord = 8;  // of 4 bits

/// Codes of 8 columns at a time, of 4 bits: a byte of a word for each, for up to kRows outputs.
void take_codes(const Gptq& w, const int32_t* columns, int64_t first_row, int64_t rows, int64_t stride, uint8_t* to) {
  constexpr int64_t kRows = 64;
  for (int64_t row = 0; row < rows; row += kRows) {
    const int64_t n = std::min(kRows, rows - row);
    uint64_t bytes[kRows] = {};
    for (int i = 0; i < 8; ++i) {
      const std::byte* words = w.qweight->bytes.data() + (columns[i] / kPerWord * w.out + first_row + row) * 4;
      const int shift = columns[i] % kPerWord * 4;
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
  for (int64_t c = 0; w.bits == 4 && c < slice.columns; c += 8)
    take_codes(w, columns + c, slice.row, slice.rows, slice.columns, out.codes.data() + c);
  for (int64_t c = 0; w.bits != 4 && c < slice.columns; ++c)
    for (int64_t r = 0; r < slice.rows; ++r)
      out.codes[size_t(r * slice.columns + c)] = uint8_t(w.code(columns[c], slice.row + r));
  const int64_t blocks = slice.columns / layout.block;
  for (int64_t r = 0; r < slice.rows; ++r)
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t g = w.group_of(columns[b * layout.block]);
      out.top[size_t(r * blocks + b)] = w.scale(g, slice.row + r);
      if (layout.zeros)
        out.zero[size_t(r * blocks + b)] = uint8_t(w.zero(g, slice.row + r));
      else
        out.top_min[size_t(r * blocks + b)] = float(w.zero(g, slice.row + r));
    }
}

/// Everything without a plain weight in a GPTQ checkpoint, so that what is odd about it is said here; the usual four parts where
/// the config does not tell (quantize_config.json of old).
bool claims(const TensorGroup& group) {
  if (group.parts.empty() || group.part("weight") != nullptr || group.part("B") != nullptr) return false;
  if (group.quantization_config != nullptr) return config_text(group.quantization_config, "quant_method") == "gptq";
  return group.part("qweight") && group.part("qzeros") && group.part("scales") && group.part("g_idx");
}

/// In the form "gptq", whose zeros are one lower than they mean. Groups lie in the order of columns.
std::vector<FilePart> encode(const MadeMatrix& made) {
  const int bits = made.bits();
  const int64_t words = made.columns * bits / 32, across = made.across();
  if (made.rows * bits % 32 != 0) return {};  // zeros of the outputs are no whole words
  file_parts::Parts parts(made);
  parts.add("qweight", TensorType::i32, {words, made.rows}, [&](std::byte* to) {
    std::vector<std::byte> row(static_cast<size_t>(words * 4));
    for (int64_t r = 0; r < made.rows; ++r) {
      made::pack_bits(made.codes(r), bits, made.columns, row.data());
      for (int64_t w = 0; w < words; ++w) std::memcpy(to + (w * made.rows + r) * 4, row.data() + w * 4, 4);
    }
  });
  const int64_t zero_bytes = made.rows * bits / 8;
  parts.add("qzeros", TensorType::i32, {across, zero_bytes / 4}, [&](std::byte* to) {
    const std::vector<uint8_t> middle(static_cast<size_t>(made.rows), uint8_t((1 << (bits - 1)) - 1));
    for (int64_t g = 0; g < across; ++g) made::pack_bits(middle.data(), bits, made.rows, to + g * zero_bytes);
  });
  parts.add("scales", TensorType::f16, {across, made.rows}, [&](std::byte* to) {
    for (int64_t g = 0; g < across; ++g)
      for (int64_t r = 0; r < made.rows; ++r) file_parts::store_f16(to, g * made.rows + r, made.top(r, g));
  });
  parts.add("g_idx", TensorType::i32, {made.columns}, [&](std::byte* to) {
    for (int64_t i = 0; i < made.columns; ++i) {
      const auto group = int32_t(i / made.layout.block);
      std::memcpy(to + i * 4, &group, 4);
    }
  });
  return parts.take();
}

/// GPTQModel leaves the head alone by itself; other plain modules it is told of as "-:" and a pattern.
Json file_config(const Format& made, std::span<const FileModule> others) {
  Json out{{"quant_method", "gptq"},
           {"bits", made.file_bits},
           {"group_size", tensor_type_info(made.stored).block},
           {"desc_act", false},
           {"sym", true},
           {"lm_head", false},
           {"checkpoint_format", "gptq"},
           {"meta", {{"quantizer", {"gale"}}}}};
  Json rules = Json::object();
  for (const FileModule& module : others) {
    if (module.name == "lm_head") continue;
    std::string pattern = "-:^";
    for (const char c : module.name) pattern += c == '.' ? "\\." : std::string(1, c);
    rules[pattern + "$"] = Json::object();
  }
  if (!rules.empty()) out["dynamic"] = rules;
  return {{"quantization_config", out}};
}

}  // namespace

extern const Format format_gptq;
const Format format_gptq = {
    .name = "gptq",
    .claims = claims,
    .shape =
        [](const TensorGroup& group) {
          const Gptq w(group);
          check_settings(group, w);
          return std::pair(w.out, w.in);
        },
    .layout = layout_of,
    .dequantize = dequantize,
    .groups = groups,
    .order = order_of,
    .encode = encode,
    .file_config = file_config,
};

}  // namespace gale
