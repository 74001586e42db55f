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

// Calls f(tile) for items [begin, end) with the arithmetic of the pages' type.
template <class Math, class F>
void each_tile_of(const AttentionArgs& a, int64_t begin, int64_t end, const F& f) {
  for (int64_t item = begin; item < end; ++item) {
    Tile<Math> tile(a, item / a.tile_count, a.tiles[item % a.tile_count]);
    f(tile);
  }
}
template <class F>
void each_tile(const AttentionArgs& a, int64_t begin, int64_t end, const F& f) {
  switch (a.pages.type) {
    case KvType::f32:
      return each_tile_of<LaneMath<F32>>(a, begin, end, f);
    case KvType::f16:
      return each_tile_of<LaneMath<F16>>(a, begin, end, f);
    case KvType::bf16:
      return each_tile_of<LaneMath<Bf16>>(a, begin, end, f);
    case KvType::q8_0:
      return each_tile_of<QuadMath>(a, begin, end, f);
  }
}

void attention(const AttentionArgs& a, int64_t begin, int64_t end) {
  each_tile(a, begin, end, [](auto& tile) { tile.run(); });
}
void merge_attention(const AttentionArgs& a, int64_t begin, int64_t end) {
  each_tile(a, begin, end, [](auto& tile) { tile.collect(); });
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
