#pragma once
#include <cstddef>
#include <cstdint>

namespace gale {

/// How the cache holds keys or values; each has its own type.
///
/// | type | keys | values | arithmetic |
/// |---|---|---|---|
/// | f32 | f32 | f32 | f32; with both in f32 throughout: exact mode |
/// | f16 | f16 | f16 | f32 on what was loaded; queries and weights stay f32 |
/// | bf16 | bf16 | bf16 | bf16 dots into f32; queries and weights are rounded to bf16 |
/// | fp8 | e4m3, an f16 scale per slot | e4m3, an f16 scale per slot | bf16 dots into f32, as bf16 |
/// | q8_0 | int8, an f16 scale per 32 channels | int8, an f16 scale per slot | int8 dots, exact within 32 channels or 64 slots |
/// | q4_0 | 4 bits, an f16 scale per 32 channels | 4 bits, an f16 scale per slot and 32 channels | as q8_0 |
///
/// In bf16, magnitudes below 2^-55 become 0 and so do weights below 2^-40: then no product or sum is ever subnormal, and the
/// instruction that flushes subnormals gives the bits of two fused multiply-adds.
enum class KvType : uint8_t { f32, f16, bf16, fp8, q8_0, q4_0 };

constexpr int64_t kGroupSlots = 64;      ///< slots that int8 sums of values take together: blocks are this or a part of it
constexpr int64_t kMaxHeadWidth = 1024;  ///< what attention keeps on its stack

/// What keys and values are held as, and the slots of a block: 16, 32 or 64. Blocks touch no bit of any result.
struct KvFormat {
  KvType k = KvType::f32, v = KvType::f32;
  int64_t block_slots = kGroupSlots;

  KvFormat() = default;
  KvFormat(KvType both) : k(both), v(both) {}
  KvFormat(KvType k, KvType v, int64_t block_slots = kGroupSlots) : k(k), v(v), block_slots(block_slots) {}
  bool operator==(const KvFormat&) const = default;
};

/// One layer of the paged cache. A page is what one kv head has in one block: page (b, h) of the keys starts at
/// k + (b x heads + h) x k_page bytes.
///
/// Sixteen slots are the sixteen lanes of a register, so that scores need no horizontal sums; `step` neighbours (1 for f32 and
/// f16, 2 for bf16 and fp8, 4 for q8_0 and q4_0) lie together in a lane, as dot instructions take them:
/// - keys [slots / 16 tiles][channels / step][16 slots][step]; fp8: then the scales [slots]; q8_0: codes + 128, then the scales
///   [tiles][channels / 32][16 slots]; q4_0: [tiles][channels / 32][4][16 slots][4], codes + 8 of channels 0-15 of the 32 in the
///   low and of 16-31 in the high halves of bytes, then the scales as in q8_0
/// - values [slots / step][channels][step], channels rounded up to 16; fp8, q8_0: codes, then the scales [slots]; q4_0:
///   [slots / 4][channels / 32][16][4], codes + 8, halves as in keys, then the scales [channels / 32][slots]
struct KvPages {
  std::byte* k = nullptr;
  std::byte* v = nullptr;
  KvType k_type = KvType::f32, v_type = KvType::f32;
  int64_t slots = kGroupSlots;  ///< of a page
  int64_t heads = 0, k_width = 0, v_width = 0;
  int64_t k_page = 0, v_page = 0;  ///< bytes of a page, multiples of 64
};

/// Everything but the memory. REQUIRES: widths within 1..kMaxHeadWidth.
KvPages kv_pages(const KvFormat& format, int64_t heads, int64_t k_width, int64_t v_width);

/// Which cache slots each row writes and sees.
struct KvRows {
  const int32_t* const* tables = nullptr;  ///< [rows] block table of the row's track
  const int32_t* slots = nullptr;          ///< [rows] where the row's K and V go
  const int32_t* begin = nullptr;          ///< [rows] first slot seen
  const int32_t* end = nullptr;            ///< [rows] one past the last
};

}  // namespace gale
