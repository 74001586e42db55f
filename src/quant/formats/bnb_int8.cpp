#include <cmath>

#include "base/json.h"
#include "quant/file_parts.h"
#include "quant/grouped.h"

namespace gale {
namespace {

/// bitsandbytes' LLM.int8() (Dettmers et al., "LLM.int8()", 2022):
///   weight         i8 [out, in]
///   SCB            f32 [out]: the largest magnitude of each row
///   weight_format  u8: 0, rows as they come; other arrangements are older GPUs' own
/// value = (SCB / 127) x weight. bitsandbytes decides from a batch's inputs which columns it multiplies as floats, so that a
/// row's answer depends on its neighbours. Here every row is rounded by itself, per 32 columns: an outlier costs its 32
/// neighbours precision, never the whole row, and no column needs to be taken out.
struct BnbInt8 {
  const RawTensor *weight, *scb;
  int64_t out = 0, in = 0, run = 0;
  Layout layout = hf::without_zeros(8, ScaleType::f32);

  explicit BnbInt8(const TensorGroup& group)
      : weight(&hf::part_of(group, "weight", "LLM.int8")), scb(&hf::part_of(group, "SCB", "LLM.int8")) {
    require(weight->shape.rank() == 2 && weight->elements() > 0, ErrorCode::corrupt, "{} is {}, but must be a matrix",
            weight->name, weight->shape.text());
    hf::check_type(*weight, weight->type == TensorType::i8, "LLM.int8");
    hf::check_type(*scb, scb->type == TensorType::f32, "LLM.int8");
    hf::check_bytes(*weight);
    out = weight->shape[0], in = run = weight->shape[1];
    hf::check_shape(group, *scb, {out}, ": one for each output");
    if (const RawTensor* form = group.part("weight_format")) {
      hf::check_bytes(*form);
      const float number = form->elements() == 1 ? hf::number(*form, 0) : -1;
      require(number == 0, ErrorCode::unsupported, "{} is {}: weights arranged for a GPU; save the model anew, as rows",
              form->name, number);
    }
  }
  float scale(int64_t row, int64_t) const {
    const float largest = hf::finite_number(*scb, row);
    require(largest >= 0, ErrorCode::corrupt,
            "{}: element {} is {}, but the largest magnitude of a row is not negative; {} is damaged", scb->name, row, largest,
            file_of(*scb));
    return largest / 127.0f;
  }
  float offset(int64_t, int64_t) const { return 0; }
  void codes(const Slice2& slice, uint8_t* to) const {
    for (int64_t r = 0; r < slice.rows; ++r)
      for (int64_t c = 0; c < slice.columns; ++c)
        *to++ = uint8_t(hf::element<uint8_t>(*weight, (slice.row + r) * in + slice.column + c) ^ 0x80);
  }
};

/// The largest magnitude that has this scale: the scale is known, and one float in two is no 127th of another.
float scb_of(float scale) {
  const float about = scale * 127.0f;
  for (float up = about, down = about; std::isfinite(up) && up - about <= about * 1e-5f;
       up = std::nextafter(up, INFINITY), down = std::nextafter(down, 0.0f))
    for (const float trial : {up, down})
      if (trial / 127.0f == scale) return trial;
  return about;
}

std::vector<FilePart> encode(const MadeMatrix& made) {
  file_parts::Parts parts(made);
  parts.add("weight", TensorType::i8, {made.rows, made.columns}, [&](std::byte* to) {
    for (int64_t i = 0; i < made.rows * made.columns; ++i) to[i] = std::byte(made.groups->codes[size_t(i)] ^ 0x80);
  });
  parts.add("SCB", TensorType::f32, {made.rows}, [&](std::byte* to) {
    for (int64_t r = 0; r < made.rows; ++r) file_parts::store_f32(to, r, scb_of(made.top(r, 0)));
  });
  parts.number("weight_format", TensorType::u8, uint8_t(0));
  return parts.take();
}

Json file_config(const Format&, std::span<const FileModule> others) {
  return {{"quantization_config",
           {{"quant_method", "bitsandbytes"},
            {"load_in_4bit", false},
            {"load_in_8bit", true},
            {"llm_int8_threshold", 6.0},
            {"llm_int8_has_fp16_weight", false},
            {"llm_int8_skip_modules", file_parts::names_of(others)}}}};
}

constexpr Format with_files() {
  Format out = grouped::format<BnbInt8>("bnb_int8", [](const TensorGroup& group) { return group.part("SCB") != nullptr; });
  out.encode = encode, out.file_config = file_config;
  return out;
}

}  // namespace

extern const Format format_bnb_int8;
const Format format_bnb_int8 = with_files();

}  // namespace gale
