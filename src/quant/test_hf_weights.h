#pragma once
#include <cstring>
#include <fstream>
#include <map>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "kernels/matrix.h"
#include "quant/format.h"

// Weights of several tensors, made by hand or read from testdata/hf_vectors.txt. Test code only.
namespace gale::quant_test {

inline std::vector<std::byte> bytes_of_hex(const std::string& text) {
  std::vector<std::byte> out(text.size() / 2);
  for (size_t i = 0; i < out.size(); ++i) out[i] = std::byte(std::stoi(text.substr(2 * i, 2), nullptr, 16));
  return out;
}

/// The parts of a weight, their bytes, and the config. Copies own their bytes.
struct HfWeight {
  struct Part {
    TensorType type;
    Shape shape;
    std::vector<std::byte> bytes;
  };
  std::string name = "model.layers.0.mlp.up_proj";
  std::map<std::string, Part, std::less<>> parts;
  Json config;

  Part& part(const std::string& suffix) { return parts.at(suffix); }
  /// Overwrites the first element of an f32 part.
  void number(const std::string& suffix, float value) { std::memcpy(part(suffix).bytes.data(), &value, sizeof value); }
};

/// What a format sees of it.
struct HfGroup {
  explicit HfGroup(const HfWeight& weight) {
    group.name = weight.name;
    group.quantization_config = weight.config.is_null() ? nullptr : &weight.config;
    for (const auto& [suffix, part] : weight.parts) {
      RawTensor& tensor = tensors[suffix];
      tensor.name = weight.name + "." + suffix;
      tensor.type = part.type;
      tensor.shape = part.shape;
      tensor.bytes = part.bytes;
      tensor.source = "model.safetensors";
      group.parts[suffix] = &tensor;
    }
  }
  HfGroup(const HfGroup&) = delete;
  std::map<std::string, RawTensor> tensors;
  TensorGroup group;
};

struct HfVector {
  std::string name, format, layout;
  HfWeight weight;
  int64_t out = 0, in = 0;
  std::vector<float> first;  ///< of the values [out, in]
  uint64_t hash = 0;         ///< of all of them
};

/// FNV-1a of the values' bytes.
inline uint64_t hash_of(const std::vector<float>& values) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte b : std::as_bytes(std::span(values))) hash = (hash ^ uint64_t(b)) * 0x100000001b3;
  return hash;
}

/// See testdata/make_hf_vectors.py.
inline std::vector<HfVector> hf_vectors() {
  std::ifstream file(GALE_SOURCE_DIR "/src/quant/testdata/hf_vectors.txt");
  std::vector<HfVector> all;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    HfVector v;
    std::string config, suffix, type, shape, hex;
    size_t parts = 0;
    words >> v.name >> v.format >> v.layout >> config >> v.out >> v.in >> parts;
    for (char& c : v.layout)
      if (c == '_') c = ' ';
    if (config != "-") v.weight.config = Json::parse(config);
    for (size_t i = 0; i < parts; ++i) {
      words >> suffix >> type >> shape >> hex;
      int64_t dims[3] = {};
      size_t rank = 0;
      std::istringstream numbers(shape == "-" ? "" : shape);
      for (std::string n; rank < 3 && std::getline(numbers, n, 'x');) dims[rank++] = std::stoll(n);
      const TensorTypeInfo* info = find_safetensors_type(type);
      if (info == nullptr) throw std::runtime_error("no type " + type);
      const Shape shapes[] = {{}, {dims[0]}, {dims[0], dims[1]}, {dims[0], dims[1], dims[2]}};
      v.weight.parts[suffix] = {info->type, shapes[rank], bytes_of_hex(hex)};
    }
    words >> hex >> std::hex >> v.hash;
    const auto bytes = bytes_of_hex(hex);
    v.first.resize(bytes.size() / sizeof(float));
    std::memcpy(v.first.data(), bytes.data(), bytes.size());
    all.push_back(std::move(v));
  }
  return all;
}
inline HfVector hf_vector(std::string_view name) {
  for (HfVector& v : hf_vectors())
    if (v.name == name) return std::move(v);
  throw std::runtime_error("no vector " + std::string(name));
}

/// As a Loader does: slices of whole panels, and of columns where the layout's units allow it.
inline PackedMatrix pack(const Format& format, const TensorGroup& group) {
  const auto [rows, columns] = format.shape(group);
  PackedMatrix out = make_packed(format.layout(group), rows, columns);
  if (const auto order = format.order ? format.order(group) : std::vector<int32_t>(); !order.empty()) {
    out.order = heap_storage(order.size() * sizeof(int32_t));
    std::memcpy(out.order->data(), order.data(), order.size() * sizeof(int32_t));
  }
  LogicalGroups groups;
  for (int64_t first = 0; first < rows; first += kPanelRows)
    for (int64_t column = 0; column < columns; column += 256) {
      format.groups(group, {first, std::min(kPanelRows, rows - first), column, std::min<int64_t>(256, columns - column)}, groups);
      arrange(groups, out);
    }
  return out;
}
inline std::vector<float> unpacked(const PackedMatrix& matrix) {
  std::vector<float> out(size_t(matrix.rows * matrix.columns));
  for (int64_t r = 0; r < matrix.rows; ++r) unpack_row(matrix, r, out.data() + r * matrix.columns);
  return out;
}
inline std::vector<float> dequantized(const Format& format, const TensorGroup& group) {
  const auto [rows, columns] = format.shape(group);
  std::vector<float> out(size_t(rows * columns));
  format.dequantize(group, {0, rows, 0, columns}, out.data());
  return out;
}

}  // namespace gale::quant_test
