#include "kernels/kv_pages.h"

#include "base/checked.h"

namespace gale {
namespace {

constexpr int64_t kHalf = 2;

int64_t slot_bytes_k(KvType type, int64_t width) {
  switch (type) {
    case KvType::f32:
      return width * 4;
    case KvType::f16:
      return width * kHalf;
    case KvType::bf16:
      return round_up(width, 2) * kHalf;
    case KvType::q8_0:
      return round_up(width, 4) + ceil_div(width, 32) * kHalf;
  }
  return 0;
}

int64_t slot_bytes_v(KvType type, int64_t width) {
  const int64_t channels = round_up(width, 16);
  switch (type) {
    case KvType::f32:
      return channels * 4;
    case KvType::f16:
    case KvType::bf16:
      return channels * kHalf;
    case KvType::q8_0:
      return channels + kHalf;
  }
  return 0;
}

}  // namespace

KvPages kv_pages(KvType type, int64_t heads, int64_t k_width, int64_t v_width) {
  return {nullptr,
          nullptr,
          type,
          heads,
          k_width,
          v_width,
          kPageSlots * slot_bytes_k(type, k_width),
          kPageSlots * slot_bytes_v(type, v_width)};
}

}  // namespace gale
