#pragma once
#include <cmath>
#include <cstring>
#include <vector>

#include "base/rng.h"
#include "kernels/cpu/kernels.h"
#include "quant/format.h"

namespace gale::quant_test {

/// The formats of a lone weight of a type of their own.
inline std::vector<const Format*> typed_formats() {
  std::vector<const Format*> out;
  for (const Format* format : formats())
    if (format->name == tensor_type_info(format->stored).name) out.push_back(format);
  return out;
}

/// Those that can be made.
inline std::vector<const Format*> made_formats() {
  std::vector<const Format*> out;
  for (const Format* format : formats())
    if (format->quantize != nullptr) out.push_back(format);
  return out;
}

/// A weight made by hand: the tensor, its bytes, and the group a format sees.
struct Weight {
  std::vector<std::byte> bytes;
  RawTensor tensor;
  TensorGroup group;

  Weight(TensorType type, int64_t rows, int64_t columns, std::vector<std::byte> data) : bytes(std::move(data)) {
    tensor.name = "model.layers.0.mlp.up_proj.weight";
    tensor.type = type;
    tensor.shape = Shape{rows, columns};
    tensor.bytes = bytes;
    tensor.source = "model.gguf";
    group.name = "model.layers.0.mlp.up_proj";
    group.parts["weight"] = &tensor;
  }
  Weight(const Weight&) = delete;
  Slice2 whole() const { return {0, tensor.rows(), 0, tensor.columns()}; }
};

/// The sums of the codes of a q8_k block.
inline void add_sums(std::byte* block) {
  for (int group = 0; group < 16; ++group) {
    int16_t sum = 0;
    for (int i = 0; i < 16; ++i) sum = int16_t(sum + int8_t(block[4 + group * 16 + i]));
    std::memcpy(block + 260 + group * 2, &sum, 2);
  }
}

/// Bytes without infinities and NaN: any byte, but f16 exponents below the last and powers of two up to 2^-1. `fill` < 0: random.
inline Weight any_weight(const Format& format, int64_t rows, int64_t columns, int fill) {
  SplitMix64 rng{uint64_t(fill + 7)};
  std::vector<std::byte> bytes(size_t(rows * row_bytes(format.stored, columns, "test")));
  for (std::byte& b : bytes) b = fill < 0 ? std::byte(rng() & 0xff) : std::byte(fill);
  const int64_t size = tensor_type_info(format.stored).bytes;
  for (size_t at = 0; at < bytes.size(); at += size_t(size)) {
    for (int64_t odd = 1; odd < std::min<int64_t>(size, 4); odd += 2) bytes[at + size_t(odd)] &= std::byte(0xbb);
    bytes[at + size_t(size) - 1] &= std::byte(0xbb);
    if (format.layout(Weight(format.stored, 1, size, {}).group).table == CodeTable::e4m3)  // no NaN
      for (int64_t i = 4; i < size; ++i)
        if ((bytes[at + size_t(i)] & std::byte(0x7f)) == std::byte(0x7f)) bytes[at + size_t(i)] ^= std::byte(1);
    if (format.stored == TensorType::mxfp4) bytes[at] &= std::byte(0x7f);
    for (size_t i = 0; format.stored == TensorType::nvfp4 && i < 4; ++i) bytes[at + i] &= std::byte(0x7f);
    if (format.stored == TensorType::f8q8) bytes[at] &= std::byte(0xbf);
    if (format.stored == TensorType::q2_k) bytes[at + 81] &= std::byte(0xbb);
    if (format.stored == TensorType::q8_k) add_sums(bytes.data() + at);
  }
  if (format.file_form == "fp8_hf" || format.file_form == "bnb_int8")  // one scale for all
    for (size_t at = size_t(size); at < bytes.size(); at += size_t(size))
      std::copy_n(bytes.begin(), 4, bytes.begin() + std::ptrdiff_t(at));
  return Weight(format.stored, rows, columns, std::move(bytes));
}

inline std::vector<float> dequantize(const Format& format, const Weight& weight, const Slice2& slice) {
  std::vector<float> out(size_t(slice.rows * slice.columns));
  format.dequantize(weight.group, slice, out.data());
  return out;
}

inline std::vector<std::byte> quantize(const Format& format, const std::vector<float>& values, int64_t columns,
                                       const float* importance = nullptr, Isa isa = isa_to_run(detect_cpu())) {
  const int64_t rows = int64_t(values.size()) / columns;
  std::vector<std::byte> out(size_t(rows * row_bytes(format.stored, columns, "test")));
  format.quantize(cpu_kernels(isa), values.data(), rows, columns, importance, out.data());
  return out;
}

/// quantize, then dequantize.
inline std::vector<float> round_trip(const Format& format, const std::vector<float>& values, int64_t columns,
                                     const float* importance = nullptr) {
  const Weight weight(format.stored, int64_t(values.size()) / columns, columns, quantize(format, values, columns, importance));
  return dequantize(format, weight, weight.whole());
}

/// Close to normal (a sum of twelve uniforms), the same on every machine. With `tail` every 64th value is four times as large.
inline std::vector<float> weights_like(uint64_t seed, size_t n, float deviation, bool tail = false) {
  SplitMix64 rng{seed};
  std::vector<float> out(n);
  for (size_t i = 0; i < n; ++i) {
    float sum = -6;
    for (int k = 0; k < 12; ++k) sum += rng.uniform();
    out[i] = sum * deviation * (tail && i % 64 == 7 ? 4.0f : 1.0f);
  }
  return out;
}

/// Square root of the weighted squared error over the weighted squares; `weights` per column, or nullptr.
inline double relative_error(const std::vector<float>& got, const std::vector<float>& want,
                             const std::vector<float>* weights = nullptr) {
  double error = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double w = weights ? double((*weights)[i % weights->size()]) : 1.0, e = double(got[i]) - double(want[i]);
    error += w * e * e;
    size += w * double(want[i]) * double(want[i]);
  }
  return std::sqrt(error / size);
}

}  // namespace gale::quant_test
