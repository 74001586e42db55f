#pragma once
#include <cstdint>

#include "kernels/cpu/common/attention_lanes.h"
#include "kernels/cpu/common/attention_quads.h"
#include "kernels/cpu/common/attention_tile.h"
#include "kernels/cpu/common/kv_store.h"
#include "kernels/cpu/kernels.h"

// Attention over the paged cache: what the table of an instruction set points to. The walk over spans is attention_tile.h; the
// dots are attention_lanes.h for f32, f16, bf16 and fp8 pages and attention_quads.h for int8 and 4 bits.
namespace gale::GALE_ISA {

// Calls f(keys) with an object for the tile's queries that reads keys of the pages' type.
template <class F>
void with_keys(const KvPages& pages, int64_t count, const F& f) {
  const auto make = [&]<class K>(K*) {
    K keys(pages, count);
    f(keys);
  };
  switch (pages.k_type) {
    case KvType::f32:
      return make(static_cast<LaneKeys<F32>*>(nullptr));
    case KvType::f16:
      return make(static_cast<LaneKeys<F16>*>(nullptr));
    case KvType::bf16:
      return make(static_cast<LaneKeys<Bf16>*>(nullptr));
    case KvType::fp8:
      return make(static_cast<LaneKeys<Fp8>*>(nullptr));
    case KvType::q8_0:
      return make(static_cast<QuadKeys<Bytes>*>(nullptr));
    case KvType::q4_0:
      return make(static_cast<QuadKeys<Nibbles>*>(nullptr));
  }
}

// Calls f(tile) for items [begin, end) with the arithmetic of the pages' types.
template <class Values, class F>
void each_tile_of(const AttentionArgs& a, int64_t begin, int64_t end, const F& f) {
  for (int64_t item = begin; item < end; ++item) {
    const AttentionTile& part = a.tiles[item % a.tile_count];
    with_keys(a.pages, part.end - part.begin, [&](Keys& keys) {
      Tile<Values> tile(a, item / a.tile_count, part, keys);
      f(tile);
    });
  }
}
template <class F>
void each_tile(const AttentionArgs& a, int64_t begin, int64_t end, const F& f) {
  switch (a.pages.v_type) {
    case KvType::f32:
      return each_tile_of<LaneValues<F32>>(a, begin, end, f);
    case KvType::f16:
      return each_tile_of<LaneValues<F16>>(a, begin, end, f);
    case KvType::bf16:
      return each_tile_of<LaneValues<Bf16>>(a, begin, end, f);
    case KvType::fp8:
      return each_tile_of<LaneValues<Fp8>>(a, begin, end, f);
    case KvType::q8_0:
      return each_tile_of<QuadValues<Bytes>>(a, begin, end, f);
    case KvType::q4_0:
      return each_tile_of<QuadValues<Nibbles>>(a, begin, end, f);
  }
}

void attention(const AttentionArgs& a, int64_t begin, int64_t end) {
  each_tile(a, begin, end, [](auto& tile) { tile.run(); });
}
void merge_attention(const AttentionArgs& a, int64_t begin, int64_t end) {
  each_tile(a, begin, end, [](auto& tile) { tile.collect(); });
}

// Calls f with what stores the type.
template <class F>
void with_store(KvType type, const F& f) {
  switch (type) {
    case KvType::f32:
      return f(LaneStore<F32>{});
    case KvType::f16:
      return f(LaneStore<F16>{});
    case KvType::bf16:
      return f(LaneStore<Bf16>{});
    case KvType::fp8:
      return f(Fp8Store{});
    case KvType::q8_0:
      return f(ByteStore{});
    case KvType::q4_0:
      return f(NibbleStore{});
  }
}

void store_kv(const float* k, const float* v, const KvPages& pages, const KvRows& rows, int64_t begin, int64_t end) {
  with_store(pages.k_type, [&]<class S>(S) { store_keys<S>(k, pages, rows, begin, end); });
  with_store(pages.v_type, [&]<class S>(S) { store_values<S>(v, pages, rows, begin, end); });
}

}  // namespace gale::GALE_ISA
