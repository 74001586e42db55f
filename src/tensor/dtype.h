#pragma once
#include <cstdint>

namespace gale {

/// Element types of dense tensors. Packed weights are not tensors: see kernels/matrix.h.
enum class DType : uint8_t { f32, f16, bf16, i32, i8, u8 };

constexpr int64_t dtype_size(DType t) {
  switch (t) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::i8:
    case DType::u8:
      return 1;
  }
  return 0;
}

constexpr const char* dtype_name(DType t) {
  switch (t) {
    case DType::f32:
      return "f32";
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "i32";
    case DType::i8:
      return "i8";
    case DType::u8:
      return "u8";
  }
  return "?";
}

enum class DeviceKind : uint8_t { cpu, cuda };

/// Where a tensor's bytes live.
struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};

}  // namespace gale
