#pragma once
#include <cstdint>

#include "kernels/cpu/common/attention_lanes.h"
#include "kernels/cpu/common/attention_quads.h"
#include "kernels/cpu/common/attention_tile.h"
#include "kernels/cpu/common/kv_store.h"
#include "kernels/cpu/kernels.h"

// Attention over the paged cache: what the table of an instruction set points to. The walk over spans is attention_tile.h; the
// dots are attention_lanes.h for f32, f16 and bf16 pages and attention_quads.h for int8.
namespace gale::GALE_ISA {

template <class Math>
void attend_items(const AttentionArgs& a, int64_t begin, int64_t end) {
  for (int64_t item = begin; item < end; ++item) {
    Tile<Math> tile(a, item / a.tile_count, a.tiles[item % a.tile_count]);
    tile.run();
  }
}

void attention(const AttentionArgs& a, int64_t begin, int64_t end) {
  switch (a.pages.type) {
    case KvType::f32:
      return attend_items<LaneMath<F32>>(a, begin, end);
    case KvType::f16:
      return attend_items<LaneMath<F16>>(a, begin, end);
    case KvType::bf16:
      return attend_items<LaneMath<Bf16>>(a, begin, end);
    case KvType::q8_0:
      return attend_items<QuadMath>(a, begin, end);
  }
}

void store_kv(const float* k, const float* v, const KvPages& pages, const KvRows& rows, int64_t begin, int64_t end) {
  switch (pages.type) {
    case KvType::f32:
      return store_rows<LaneStore<F32>>(k, v, pages, rows, begin, end);
    case KvType::f16:
      return store_rows<LaneStore<F16>>(k, v, pages, rows, begin, end);
    case KvType::bf16:
      return store_rows<LaneStore<Bf16>>(k, v, pages, rows, begin, end);
    case KvType::q8_0:
      return store_rows<QuadStore>(k, v, pages, rows, begin, end);
  }
}

}  // namespace gale::GALE_ISA
