#pragma once
#include <cstddef>
#include <cstdint>

namespace gale {

/// How the cache holds keys and values.
///
/// | type | keys | values | arithmetic |
/// |---|---|---|---|
/// | f32 | f32 | f32 | f32 throughout: exact mode |
/// | f16 | f16 | f16 | f32 on what was loaded; queries and weights stay f32 |
/// | bf16 | bf16 | bf16 | bf16 dots into f32; queries and weights are rounded to bf16 |
/// | q8_0 | int8, an f16 scale per 32 channels | int8, an f16 scale per slot | int8 dots, exact within 32 channels or 64 slots |
///
/// In bf16, magnitudes below 2^-55 become 0 and so do weights below 2^-40: then no product or sum is ever subnormal, and the
/// instruction that flushes subnormals gives the bits of two fused multiply-adds.
enum class KvType : uint8_t { f32, f16, bf16, q8_0 };

constexpr int64_t kPageSlots = 64;       ///< slots of a block of the cache
constexpr int64_t kMaxHeadWidth = 1024;  ///< what attention keeps on its stack

/// One layer of the paged cache. A page is what one kv head has in one block: page (b, h) of the keys starts at
/// k + (b x heads + h) x k_page bytes.
///
/// Sixteen slots are the sixteen lanes of a register, so that scores need no horizontal sums; `step` neighbours (1 for f32 and
/// f16, 2 for bf16, 4 for q8_0) lie together in a lane, as dot instructions take them:
/// - keys [64 / 16 tiles][channels / step][16 slots][step]; q8_0: codes + 128, then the scales [tiles][channels / 32][16 slots]
/// - values [64 / step][channels][step], channels rounded up to 16; q8_0: codes, then the scales [64 slots]
struct KvPages {
  std::byte* k = nullptr;
  std::byte* v = nullptr;
  KvType type = KvType::f32;
  int64_t heads = 0, k_width = 0, v_width = 0;
  int64_t k_page = 0, v_page = 0;  ///< bytes of a page, multiples of 64
};

/// Everything but the memory. REQUIRES: widths within 1..kMaxHeadWidth.
KvPages kv_pages(KvType type, int64_t heads, int64_t k_width, int64_t v_width);

/// Which cache slots each row writes and sees.
struct KvRows {
  const int32_t* const* tables = nullptr;  ///< [rows] block table of the row's track
  const int32_t* slots = nullptr;          ///< [rows] where the row's K and V go
  const int32_t* begin = nullptr;          ///< [rows] first slot seen
  const int32_t* end = nullptr;            ///< [rows] one past the last
};

}  // namespace gale
