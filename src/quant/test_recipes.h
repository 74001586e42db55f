#pragma once
#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "base/half.h"
#include "base/rng.h"
#include "quant/test_hf_weights.h"

// Weights of every format of safetensors checkpoints, of any shape: random codes under scales that keep them small, as bytes that
// the format reads. Test code only; what the bytes mean is proved elsewhere (hf_formats_test.cpp, tests/golden).
namespace gale::quant_test {

/// Draws the parts of a weight.
class PartWriter {
 public:
  explicit PartWriter(uint64_t seed) : random_{seed} {}

  using Part = HfWeight::Part;
  /// Any bytes.
  Part any(TensorType type, const Shape& shape) {
    Part out = blank(type, shape);
    for (std::byte& b : out.bytes) b = std::byte(random_() & 0xff);
    return out;
  }
  /// Bytes in [least, least + n).
  Part bytes(TensorType type, const Shape& shape, int least, int n) {
    Part out = blank(type, shape);
    for (std::byte& b : out.bytes) b = std::byte(least + int(random_() % uint64_t(n)));
    return out;
  }
  /// Numbers between `size` and twice that.
  Part numbers(TensorType type, const Shape& shape, float size) {
    Part out = blank(type, shape);
    const size_t width = size_t(tensor_type_info(type).bytes);
    for (size_t at = 0; at < out.bytes.size(); at += width) store(type, size * (1 + random_.uniform()), out.bytes.data() + at);
    return out;
  }
  /// `n` scattered over groups of `size`: each column's group.
  Part scattered(int64_t n, int64_t size) {
    std::vector<int32_t> groups(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) groups[size_t(i)] = int32_t(i / size);
    for (size_t i = groups.size(); i > 1; --i) std::swap(groups[i - 1], groups[random_() % i]);
    return of(TensorType::i32, {n}, groups);
  }
  template <class T>
  static Part of(TensorType type, const Shape& shape, const std::vector<T>& values) {
    Part out = blank(type, shape);
    std::memcpy(out.bytes.data(), values.data(), std::min(out.bytes.size(), values.size() * sizeof(T)));
    return out;
  }
  static Part text(const std::string& text) {
    return of(TensorType::u8, {int64_t(text.size())}, std::vector<char>(text.begin(), text.end()));
  }

 private:
  static Part blank(TensorType type, const Shape& shape) {
    return {type, shape, std::vector<std::byte>(size_t(shape.elements() * tensor_type_info(type).bytes))};
  }
  static void store(TensorType type, float value, std::byte* to) {
    const uint16_t half = type == TensorType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
    if (type == TensorType::f32)
      std::memcpy(to, &value, 4);
    else
      std::memcpy(to, &half, 2);
  }
  SplitMix64 random_;
};

/// A format as some project writes it. `make` fills parts and, once for a model, the config. out is a multiple of 64, in of 128.
struct Recipe {
  std::string name, format;
  Json config;
  std::function<void(PartWriter&, HfWeight&, int64_t out, int64_t in)> make;

  HfWeight weight(int64_t out, int64_t in, uint64_t seed) const {
    HfWeight w;
    w.config = config;
    PartWriter writer(seed);
    make(writer, w, out, in);
    return w;
  }
};

inline std::vector<Recipe> recipes() {
  using enum TensorType;
  std::vector<Recipe> all;
  const auto add = [&](std::string name, std::string format, Json config, auto make) {
    all.push_back({std::move(name), std::move(format), std::move(config), make});
  };
  for (const int bits : {2, 3, 4, 8})
    for (const bool scattered : {false, true})
      add("gptq" + std::to_string(bits) + (scattered ? "_act_order" : ""), "gptq",
          Json{{"quant_method", "gptq"}, {"bits", bits}, {"group_size", 64}, {"desc_act", scattered}},
          [=](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
            w.parts["qweight"] = p.any(i32, {in * bits / 32, out});
            w.parts["qzeros"] = p.any(i32, {in / 64, out * bits / 32});
            w.parts["scales"] = p.numbers(f16, {in / 64, out}, 0.08f / float(1 << bits));
            if (scattered) w.parts["g_idx"] = p.scattered(in, 64);
          });
  add("gptq_marlin", "gptq_marlin",
      Json{{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}, {"checkpoint_format", "marlin"}},
      [](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
        w.parts["B"] = p.any(i32, {in / 16, out * 2});
        w.parts["s"] = p.numbers(f16, {in / 128, out}, 0.005f);
      });
  for (const bool gemv : {false, true})
    add(gemv ? "awq_gemv" : "awq_gemm", "awq",
        Json{{"quant_method", "awq"}, {"bits", 4}, {"group_size", 64}, {"version", gemv ? "gemv" : "gemm"}},
        [=](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
          const int64_t zeros = (in / 64 + 7) / 8;
          w.parts["qweight"] = p.any(i32, gemv ? Shape{out, in / 8} : Shape{in, out / 8});
          w.parts["qzeros"] = p.any(i32, gemv ? Shape{out, zeros} : Shape{in / 64, out / 8});
          w.parts["scales"] = p.numbers(f16, gemv ? Shape{out, zeros * 8} : Shape{in / 64, out}, 0.005f);
        });
  for (const int bits : {4, 8})
    for (const bool zeros : {false, true})
      add("compressed_int" + std::to_string(bits) + (zeros ? "_zeros" : ""), "compressed_tensors",
          Json{{"quant_method", "compressed-tensors"},
               {"format", "pack-quantized"},
               {"config_groups", {{"group_0", {{"weights", {{"num_bits", bits}, {"group_size", 64}}}}}}}},
          [=](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
            w.parts["weight_packed"] = p.any(i32, {out, in * bits / 32});
            w.parts["weight_scale"] = p.numbers(bf16, {out, in / 64}, 0.08f / float(1 << bits));
            w.parts["weight_shape"] = PartWriter::of<int64_t>(i64, {2}, {out, in});
            if (zeros) w.parts["weight_zero_point"] = p.any(i32, {out * bits / 32, in / 64});
          });
  add("compressed_int4_act_order", "compressed_tensors",
      Json{{"quant_method", "compressed-tensors"}, {"format", "pack-quantized"}},
      [](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
        w.parts["weight_packed"] = p.any(i32, {out, in / 8});
        w.parts["weight_scale"] = p.numbers(f16, {out, in / 64}, 0.005f);
        w.parts["weight_shape"] = PartWriter::of<int64_t>(i64, {2}, {out, in});
        w.parts["weight_g_idx"] = p.scattered(in, 64);
      });
  add("compressed_w8a8", "compressed_tensors", Json{{"quant_method", "compressed-tensors"}, {"format", "int-quantized"}},
      [](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
        w.parts["weight"] = p.any(i8, {out, in});
        w.parts["weight_scale"] = p.numbers(f32, {out, 1}, 0.0003f);
      });
  for (const char* type : {"nf4", "fp4"})
    for (const bool nested : {false, true})
      add(std::string("bnb_") + type + (nested ? "_nested" : ""), "bitsandbytes", Json{{"quant_method", "bitsandbytes"}},
          [=](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
            const int64_t blocks = out * in / 64, outer = (blocks + 255) / 256;
            Json state{{"quant_type", type}, {"blocksize", 64}, {"dtype", "float32"}, {"shape", {out, in}}};
            if (nested) state.update(Json{{"nested_blocksize", 256}, {"nested_offset", 0.05}});
            w.parts["weight"] = p.any(u8, {out * in / 2, 1});
            w.parts["weight.absmax"] = nested ? p.any(u8, {blocks}) : p.numbers(f32, {blocks}, 0.03f);
            if (nested) w.parts["weight.nested_absmax"] = p.numbers(f32, {outer}, 0.02f);
            if (nested) w.parts["weight.nested_quant_map"] = p.numbers(f32, {256}, 0.4f);
            w.parts[std::string("weight.quant_state.bitsandbytes__") + type] = PartWriter::text(state.dump());
          });
  add("bnb_int8", "bnb_int8", Json{{"quant_method", "bitsandbytes"}}, [](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
    w.parts["weight"] = p.any(i8, {out, in});
    w.parts["SCB"] = p.numbers(f32, {out}, 0.04f);
  });
  for (const int bits : {1, 2, 3, 4, 8})
    for (const int axis : {0, 1})
      add("hqq" + std::to_string(bits) + "_axis" + std::to_string(axis), "hqq", Json{{"quant_method", "hqq"}},
          [=](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
            const int64_t n = out * in / 64, together = bits == 3 ? 10 : 8 / bits, rows = axis == 1 ? n : 64;
            w.parts["W_q"] = p.any(bits == 3 ? i32 : u8, {(rows + together - 1) / together, axis == 1 ? 64 : n});
            w.parts["scale"] = p.numbers(f16, axis == 1 ? Shape{n, 1} : Shape{1, n}, 0.08f / float(1 << bits));
            w.parts["zero"] = p.numbers(f16, axis == 1 ? Shape{n, 1} : Shape{1, n}, 0.35f * float((1 << bits) - 1));
            w.parts["shape"] = PartWriter::of<int64_t>(i64, {2}, {out, in});
            for (const auto& [key, value] : {std::pair("nbits", bits), {"axis", axis}, {"group_size", 64}})
              w.parts[key] = PartWriter::of<int32_t>(i32, {}, {value});
          });
  for (const int bits : {2, 3, 4, 5, 6, 8})
    add("afq" + std::to_string(bits) + "_files", "afq", Json{{"bits", bits}, {"group_size", 64}},
        [=](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
          w.parts["weight"] = p.any(u32, {out, in * bits / 32});
          w.parts["scales"] = p.numbers(bf16, {out, in / 64}, 0.08f / float(1 << bits));
          w.parts["biases"] = p.numbers(bf16, {out, in / 64}, -0.04f);
        });
  add("mxfp4_ocp", "mxfp4_ocp", Json{{"quant_method", "mxfp4"}}, [](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
    w.parts["blocks"] = p.any(u8, {out, in / 32, 16});
    w.parts["scales"] = p.bytes(u8, {out, in / 32}, 119, 3);
  });
  add("mxfp8_files", "mxfp8", Json{{"bits", 8}, {"group_size", 32}, {"mode", "mxfp8"}},
      [](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
        w.parts["weight"] = p.bytes(u32, {out, in / 4}, 0x20, 0x40);
        for (std::byte& b : w.parts["weight"].bytes)
          if ((uint8_t(b) & 15) % 3 == 0) b |= std::byte(0x80);
        w.parts["scales"] = p.bytes(u8, {out, in / 32}, 119, 3);
      });
  for (const bool global : {false, true})
    add(global ? "nvfp4_mlx_global" : "nvfp4_mlx", "nvfp4_hf", Json{{"bits", 4}, {"group_size", 16}, {"mode", "nvfp4"}},
        [=](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
          w.parts["weight"] = p.any(u32, {out, in / 8});
          w.parts["scales"] = p.bytes(u8, {out, in / 16}, global ? 0x38 : 4, global ? 16 : 4);
          if (global) w.parts["global_scale"] = p.numbers(f32, {}, 20.0f);
        });
  for (const bool divided : {false, true})
    add(divided ? "nvfp4_divided" : "nvfp4_modelopt", "nvfp4_hf",
        Json{{"quant_method", divided ? "compressed-tensors" : "modelopt"}},
        [=](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
          w.parts[divided ? "weight_packed" : "weight"] = p.any(u8, {out, in / 2});
          w.parts["weight_scale"] = p.bytes(f8_e4m3, {out, in / 16}, 0x38, 16);
          w.parts[divided ? "weight_global_scale" : "weight_scale_2"] = p.numbers(f32, {}, divided ? 100.0f : 0.01f);
        });
  for (const char* scales : {"weight_scale", "weight_scale_inv", "none"})
    add(std::string("fp8_") + scales, "fp8_hf",
        std::string_view(scales) == "none" ? Json() : Json{{"quant_method", "fp8"}, {"weight_block_size", {64, 64}}},
        [=](PartWriter& p, HfWeight& w, int64_t out, int64_t in) {
          const std::string kind = scales;
          w.parts["weight"] = kind == "none" ? p.bytes(f8_e4m3, {out, in}, 0x00, 0x20) : p.bytes(f8_e4m3, {out, in}, 0x30, 0x40);
          for (std::byte& b : w.parts["weight"].bytes)
            if ((uint8_t(b) & 15) % 3 == 0) b |= std::byte(0x80);
          if (kind == "weight_scale") w.parts[kind] = p.numbers(f32, {out, 1}, 0.0006f);
          if (kind == "weight_scale_inv") w.parts[kind] = p.numbers(f32, {out / 64, in / 64}, 0.0006f);
        });
  return all;
}

}  // namespace gale::quant_test
