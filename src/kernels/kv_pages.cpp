#include "kernels/kv_pages.h"

#include "base/checked.h"

namespace gale {
namespace {

constexpr int64_t kHalf = 2, kScaled = 32;  // bytes of an f16; channels under a scale

int64_t slot_bytes_k(KvType type, int64_t width) {
  switch (type) {
    case KvType::f32:
      return width * 4;
    case KvType::f16:
      return width * kHalf;
    case KvType::bf16:
      return round_up(width, 2) * kHalf;
    case KvType::fp8:
      return round_up(width, 2) + kHalf;
    case KvType::q8_0:
      return round_up(width, 4) + ceil_div(width, kScaled) * kHalf;
    case KvType::q4_0:
      return ceil_div(width, kScaled) * (kScaled / 2 + kHalf);
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
    case KvType::fp8:
    case KvType::q8_0:
      return channels + kHalf;
    case KvType::q4_0:
      return ceil_div(width, kScaled) * (kScaled / 2 + kHalf);
  }
  return 0;
}

}  // namespace

KvPages kv_pages(const KvFormat& format, int64_t heads, int64_t k_width, int64_t v_width) {
  KvPages out{.k_type = format.k,
              .v_type = format.v,
              .slots = format.block_slots,
              .heads = heads,
              .k_width = k_width,
              .v_width = v_width};
  out.k_page = round_up(out.slots * slot_bytes_k(format.k, k_width), 64);
  out.v_page = round_up(out.slots * slot_bytes_v(format.v, v_width), 64);
  return out;
}

}  // namespace gale
