#include "kvcache/kvcache.h"

#include <cassert>
#include <cstring>

#include "base/checked.h"

namespace gale {
namespace {

constexpr std::pair<const char*, KvType> kTypes[] = {
    {"f32", KvType::f32}, {"f16", KvType::f16}, {"bf16", KvType::bf16}, {"q8_0", KvType::q8_0}};

KvPages pages_of(const SelfLayer& layer, KvType type) { return kv_pages(type, layer.heads, layer.k_width, layer.v_width); }

}  // namespace

KvType choose_kv_type(std::string_view name, bool exact) {
  if (name.empty()) return exact ? KvType::f32 : KvType::bf16;
  for (const auto& [known, type] : kTypes)
    if (name == known) return type;
  fail(ErrorCode::invalid_argument, "unknown KV type \"{}\"; known are f32, f16, bf16 and q8_0", name);
}

const char* kv_type_name(KvType type) noexcept { return kTypes[size_t(type)].first; }

int64_t KvCache::block_bytes(const std::vector<CacheLayer>& layers, KvType type) {
  int64_t total = 0;
  for (const auto& layer : layers)
    if (const auto* self = std::get_if<SelfLayer>(&layer)) {
      const KvPages pages = pages_of(*self, type);
      total += pages.heads * (pages.k_page + pages.v_page);
    }
  return total;
}

KvCache::KvCache(std::vector<CacheLayer> layers, KvType type, int64_t blocks, bool measuring) : type_(type), blocks_(blocks) {
  for (const auto& layer : layers) {
    Pages pages;
    if (const auto* self = std::get_if<SelfLayer>(&layer)) {
      require(self->k_width <= kMaxHeadWidth && self->v_width <= kMaxHeadWidth, ErrorCode::unsupported,
              "heads of width {} and {} are beyond the {} that attention takes", self->k_width, self->v_width, kMaxHeadWidth);
      pages.view = pages_of(*self, type);
      pages.k_bytes = pages.view.heads * pages.view.k_page;
      pages.v_bytes = pages.view.heads * pages.view.v_page;
      if (!measuring) {
        pages.k = heap_storage(size_t(checked_mul(blocks, pages.k_bytes, "KV cache")));
        pages.v = heap_storage(size_t(checked_mul(blocks, pages.v_bytes, "KV cache")));
        pages.view.k = pages.k->data();
        pages.view.v = pages.v->data();
      }
    } else if (const auto* shared = std::get_if<SharedLayer>(&layer)) {
      pages.view = layers_[size_t(shared->layer)].view;
    }
    layers_.push_back(std::move(pages));
  }
  for (int64_t b = blocks; b-- > 0;) free_.push_back(int32_t(b));
}

TrackId KvCache::open() {
  for (size_t i = 0; i < tracks_.size(); ++i)
    if (!tracks_[i].open) {
      tracks_[i].open = true;
      return TrackId(i);
    }
  tracks_.push_back({});
  tracks_.back().open = true;
  return TrackId(tracks_.size() - 1);
}

void KvCache::zero_block(int32_t block) {
  for (auto& pages : layers_) {
    if (!pages.k) continue;
    std::memset(pages.k->data() + block * pages.k_bytes, 0, size_t(pages.k_bytes));
    std::memset(pages.v->data() + block * pages.v_bytes, 0, size_t(pages.v_bytes));
  }
}

bool KvCache::reserve(TrackId track, int64_t slots) {
  auto& table = tracks_[size_t(track)].table;
  const int64_t missing = ceil_div(slots, kBlockSlots) - int64_t(table.size());
  if (missing > int64_t(free_.size())) return false;
  for (int64_t i = 0; i < missing; ++i) {
    zero_block(free_.back());
    table.push_back(free_.back());
    free_.pop_back();
  }
  return true;
}

void KvCache::commit(TrackId track, int64_t slots) {
  assert(slots >= tracks_[size_t(track)].committed);
  tracks_[size_t(track)].committed = slots;
}

void KvCache::truncate(TrackId track, int64_t slots) {
  Track& t = tracks_[size_t(track)];
  assert(slots >= t.committed);
  const size_t keep = size_t(ceil_div(slots, kBlockSlots));
  while (t.table.size() > keep) {
    free_.push_back(t.table.back());
    t.table.pop_back();
  }
}

void KvCache::close(TrackId track) {
  tracks_[size_t(track)].committed = 0;
  truncate(track, 0);
  tracks_[size_t(track)].open = false;
}

Tensor KvCache::attend(Ctx& ctx, int32_t layer, const Batch& batch, const Tensor& q, const Tensor& k, const Tensor& v,
                       const AttentionOptions& options) {
  KvRows rows;
  if (!ctx.measuring()) {
    tables_.resize(size_t(batch.rows()));
    for (const Slice& slice : batch.slices)
      for (int32_t i = 0; i < slice.count; ++i) tables_[size_t(slice.row + i)] = tracks_[size_t(slice.track)].table.data();
    rows = {tables_.data(), batch.slots.data(), batch.attend_begin.data(), batch.attend_end.data()};
  }
  return ops::attention(ctx, q, k, v, layers_[size_t(layer)].view, rows, options);
}

}  // namespace gale
