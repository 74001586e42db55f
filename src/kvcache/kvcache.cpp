#include "kvcache/kvcache.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <optional>

#include "base/checked.h"

namespace gale {
namespace {

// Of one track: what a row sees, what a step adds, and one for where they do not begin with a block.
int64_t most_blocks(int64_t window, int64_t slots, int64_t step_rows, int64_t block_slots) {
  const int64_t all = ceil_div(slots, block_slots);
  return window == 0 ? all : std::min(all, ceil_div(window + step_rows, block_slots) + 1);
}

KvPages pages_of(const SelfLayer& layer, const KvFormat& format) {
  return kv_pages(format, layer.heads, layer.k_width, layer.v_width);
}

// What a layer keeps of its own in each block of its pool; nothing where it has none.
struct Kept {
  int64_t window = 0, k_bytes = 0, v_bytes = 0;
};
std::optional<Kept> kept_by(const CacheLayer& layer, const KvFormat& format) {
  if (const auto* self = std::get_if<SelfLayer>(&layer)) {
    const KvPages pages = pages_of(*self, format);
    return Kept{std::max(0, self->window), pages.heads * pages.k_page, pages.heads * pages.v_page};
  }
  if (const auto* state = std::get_if<StateLayer>(&layer))  // a row sees the chunk before its own and what its own has so far
    return Kept{kStateChunk + 1, state->bytes, format.block_slots * state->row_bytes};
  return std::nullopt;
}

// The layers of sources(): cross layers are there what self layers are here. Empty where there are none.
std::vector<CacheLayer> source_layers(const std::vector<CacheLayer>& layers) {
  std::vector<CacheLayer> out(layers.size());
  bool any = false;
  for (size_t i = 0; i < layers.size(); ++i)
    if (const auto* cross = std::get_if<CrossLayer>(&layers[i]))
      out[i] = SelfLayer{cross->heads, cross->k_width, cross->v_width, 0}, any = true;
  if (!any) out.clear();
  return out;
}

}  // namespace

std::vector<KvNeed> KvCache::needs(const std::vector<CacheLayer>& layers, const KvFormat& format, int64_t slots,
                                   int64_t step_rows) {
  std::vector<KvNeed> out;
  std::vector<int64_t> windows;
  for (const auto& layer : layers) {
    const auto kept = kept_by(layer, format);
    if (!kept) continue;
    const size_t pool = size_t(std::ranges::find(windows, kept->window) - windows.begin());
    if (pool == windows.size()) {
      windows.push_back(kept->window);
      out.push_back({0, most_blocks(kept->window, slots, step_rows, format.block_slots)});
    }
    out[pool].block_bytes += kept->k_bytes + kept->v_bytes;
  }
  return out;
}

KvNeed KvCache::source_need(const std::vector<CacheLayer>& layers, const KvFormat& format, int64_t rows) {
  const auto need = needs(source_layers(layers), format, rows, rows);
  return need.empty() ? KvNeed{} : need.front();
}

KvCache::KvCache(std::vector<CacheLayer> layers, const KvFormat& format, int64_t blocks, bool measuring)
    : KvCache(layers, format, std::vector<int64_t>(needs(layers, format, 1, 1).size(), blocks), blocks * format.block_slots,
              measuring) {}

KvCache::KvCache(std::vector<CacheLayer> layers, const KvFormat& format, std::vector<int64_t> blocks, int64_t step_rows,
                 bool measuring, int64_t source_blocks)
    : format_(format) {
  for (const auto& layer : layers) {
    Pages pages;
    if (const auto* self = std::get_if<SelfLayer>(&layer)) {
      require(self->k_width <= kMaxHeadWidth && self->v_width <= kMaxHeadWidth, ErrorCode::unsupported,
              "heads of width {} and {} are beyond the {} that attention takes", self->k_width, self->v_width, kMaxHeadWidth);
      pages.view = pages_of(*self, format);
    } else if (const auto* shared = std::get_if<SharedLayer>(&layer)) {
      pages.view = layers_[size_t(shared->layer)].view;
      pages.pool = layers_[size_t(shared->layer)].pool;
    }
    if (const auto kept = kept_by(layer, format)) {
      const size_t pool = size_t(std::ranges::find(pools_, kept->window, &Pool::window) - pools_.begin());
      if (pool == pools_.size())
        pools_.push_back({BlockPool(int32_t(blocks[pool])), kept->window, 0,
                          most_blocks(kept->window, INT64_MAX / 2, step_rows, format.block_slots)});
      pages.pool = int32_t(pool);
      pages.k_bytes = kept->k_bytes;
      pages.v_bytes = kept->v_bytes;
      pools_[pool].block_bytes += pages.k_bytes + pages.v_bytes;
      if (!measuring) {
        pages.k = heap_storage(size_t(checked_mul(blocks[pool], pages.k_bytes, "KV cache")));
        pages.v = heap_storage(size_t(checked_mul(blocks[pool], pages.v_bytes, "KV cache")));
        pages.view.k = pages.k->data();
        pages.view.v = pages.v->data();
      }
    }
    layers_.push_back(std::move(pages));
  }
  if (auto cross = source_layers(layers); !cross.empty())
    sources_ = std::make_unique<KvCache>(std::move(cross), format, std::vector{source_blocks}, source_blocks * format.block_slots,
                                         measuring);
}

int64_t KvCache::free_blocks() const {
  int64_t least = INT32_MAX;
  for (const Pool& pool : pools_) least = std::min<int64_t>(least, pool.blocks.free());
  return least;
}

int64_t KvCache::blocks() const {
  int64_t least = INT32_MAX;
  for (const Pool& pool : pools_) least = std::min<int64_t>(least, pool.blocks.size());
  return least;
}

int64_t KvCache::held_bytes() const {
  int64_t bytes = 0;
  for (const Pool& pool : pools_) bytes += (pool.blocks.size() - pool.blocks.free()) * pool.block_bytes;
  return bytes;
}

int64_t KvCache::kept_bytes() const {
  int64_t bytes = 0;
  for (const Pool& pool : pools_) bytes += pool.blocks.kept() * pool.block_bytes;
  return bytes;
}

TrackId KvCache::open() {
  size_t free = 0;
  while (free < tracks_.size() && tracks_[free].open) ++free;
  if (free == tracks_.size()) {
    tracks_.emplace_back();
    tracks_.back().tables.resize(pools_.size());
    tracks_.back().first.resize(pools_.size());
  }
  tracks_[free].open = true;
  return TrackId(free);
}

// The first block that a row at `slots` or later sees.
int64_t KvCache::first_needed(size_t pool, int64_t slots) const {
  const int64_t window = pools_[pool].window;
  return window == 0 ? 0 : std::max<int64_t>(0, slots + 1 - window) / block_slots();
}

// Blocks of a text of which every pool has what a row behind them sees, by what `is_here` says of a pool and a name.
template <class IsHere>
int64_t KvCache::find_beginning(std::span<const BlockName> names, const IsHere& is_here) const {
  std::vector<int64_t> run(pools_.size());  // blocks found without a gap, up to the one in hand
  int64_t best = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    bool enough = true;
    for (size_t p = 0; p < pools_.size(); ++p) {
      run[p] = is_here(p, names[i]) ? run[p] + 1 : 0;
      const int64_t count = int64_t(i) + 1, need = count - first_needed(p, count * block_slots());
      if (run[p] < need) enough = false;
      if (run[p] == 0 && pools_[p].window == 0) return best;
    }
    if (enough) best = int64_t(i) + 1;
  }
  return best;
}

int64_t KvCache::find_beginning(std::span<const BlockName> names) const {
  return find_beginning(names, [this](size_t pool, const BlockName& name) { return is_here(pool, name); });
}

// The same for a track that has a beginning already, and with it what its next rows see.
template <class IsHere>
int64_t KvCache::find_next(const Track& track, std::span<const BlockName> names, const IsHere& is_here) const {
  if (track.committed == 0) return find_beginning(names, is_here);
  const auto everywhere = [&](const BlockName& name) {
    for (size_t p = 0; p < pools_.size(); ++p)
      if (!is_here(p, name)) return false;
    return true;
  };
  size_t count = size_t(track.committed / block_slots());
  while (count < names.size() && everywhere(names[count])) ++count;
  return int64_t(count);
}

// Blocks of its text that a track would have if all were here that the store promises.
int64_t KvCache::reachable(const Track& track, std::span<const BlockName> names) const {
  return find_next(track, names, [this](size_t pool, const BlockName& name) {
    return is_here(pool, name) || store_->promises(int32_t(pool), name);
  });
}

// What begins with a block, all of it named.
bool KvCache::may_adopt(const Track& track) const {
  return !pools_.empty() && track.committed % block_slots() == 0 && track.named * block_slots() == track.committed;
}

int64_t KvCache::adopt(TrackId id, std::span<const BlockName> names, int64_t slots) {
  Track& track = tracks_[size_t(id)];
  if (!may_adopt(track)) return track.committed;
  names = names.first(std::min(names.size(), size_t(slots / block_slots())));
  const int64_t count = find_next(track, names, [this](size_t pool, const BlockName& name) { return is_here(pool, name); });
  if (count * block_slots() <= track.committed) return track.committed;
  truncate(id, track.committed);  // what a step reserved and did not use
  for (size_t p = 0; p < pools_.size(); ++p) {
    std::vector<int32_t>& table = track.tables[p];
    if (track.committed == 0) track.first[p] = first_needed(p, count * block_slots());
    table.resize(size_t(count), -1);
    for (int64_t i = std::max(track.first[p], track.committed / block_slots()); i < count; ++i) {
      table[size_t(i)] = pools_[p].blocks.find(names[size_t(i)]);
      pools_[p].blocks.hold(table[size_t(i)]);
    }
  }
  track.named = count;
  track.committed = count * block_slots();
  for (size_t p = 0; p < pools_.size(); ++p) leave_behind(track, p, track.committed);
  return track.committed;
}

bool KvCache::share(TrackId id, TrackId other_id, int64_t slots) {
  Track& track = tracks_[size_t(id)];
  const Track& other = tracks_[size_t(other_id)];
  assert(track.committed % block_slots() == 0 && slots <= other.committed && slots > track.committed);
  for (size_t p = 0; p < pools_.size(); ++p)
    if (other.first[p] > first_needed(p, slots)) return false;
  truncate(id, track.committed);
  const size_t count = size_t(ceil_div(slots, block_slots()));
  for (size_t p = 0; p < pools_.size(); ++p) {
    std::vector<int32_t>& table = track.tables[p];
    if (track.committed == 0) track.first[p] = other.first[p];
    for (size_t i = table.size(); i < count; ++i) {
      table.push_back(other.tables[p][i]);
      if (table[i] >= 0) pools_[p].blocks.hold(table[i]);
    }
  }
  track.named = std::min(other.named, slots / block_slots());
  track.committed = slots;
  for (size_t p = 0; p < pools_.size(); ++p) leave_behind(track, p, slots);  // the other's had gaps there
  if (other.source >= 0 && track.source < 0) {
    const TrackId source = sources_->open();
    sources_->share(source, other.source, other.source_rows);
    see(id, source, other.source_rows);
  }
  return true;
}

// Whether the block that the next row goes into is begun and not this track's alone: others hold it, or whoever shared it has
// filled it since and later texts will find it.
bool KvCache::shared_tail(const Track& track, size_t pool) const {
  if (track.committed % block_slots() == 0) return false;
  const int32_t tail = track.tables[pool][size_t(track.committed / block_slots())];
  return pools_[pool].blocks.holders(tail) > 1 || pools_[pool].blocks.is_named(tail);
}

// Where that is nobody else's: a text that may come has to do without it, rather than this one without a block.
bool KvCache::may_take_tail(const Track& track, size_t pool) const {
  return shared_tail(track, pool) &&
         pools_[pool].blocks.holders(track.tables[pool][size_t(track.committed / block_slots())]) == 1;
}

int64_t KvCache::lacking(const Track& track, size_t pool, int64_t slots) const {
  if (slots <= track.committed) return 0;
  const int64_t more = std::max<int64_t>(0, ceil_div(slots, block_slots()) - int64_t(track.tables[pool].size()));
  return more + (shared_tail(track, pool) ? 1 : 0);
}

int32_t KvCache::take_block(size_t pool) {
  BlockPool& blocks = pools_[pool].blocks;
  if (store_ != nullptr && blocks.is_named(blocks.next())) to_store(pool, blocks.next(), false);
  return blocks.take();
}

int32_t KvCache::new_block(size_t pool) {
  const int32_t block = take_block(pool);
  for (auto& pages : layers_) {
    if (!pages.k || pages.pool != int32_t(pool)) continue;
    std::memset(pages.k->data() + block * pages.k_bytes, 0, size_t(pages.k_bytes));
    std::memset(pages.v->data() + block * pages.v_bytes, 0, size_t(pages.v_bytes));
  }
  return block;
}

int32_t KvCache::copy_block(size_t pool, int32_t from) {
  const int32_t to = take_block(pool);
  for (auto& pages : layers_) {
    if (!pages.k || pages.pool != int32_t(pool)) continue;
    std::memcpy(pages.k->data() + to * pages.k_bytes, pages.k->data() + from * pages.k_bytes, size_t(pages.k_bytes));
    std::memcpy(pages.v->data() + to * pages.v_bytes, pages.v->data() + from * pages.v_bytes, size_t(pages.v_bytes));
  }
  return to;
}

bool KvCache::reserve(TrackId id, int64_t slots) {
  Track& track = tracks_[size_t(id)];
  for (size_t p = 0; p < pools_.size(); ++p)
    if (lacking(track, p, slots) > pools_[p].blocks.free() + (may_take_tail(track, p) ? 1 : 0)) return false;
  for (size_t p = 0; p < pools_.size(); ++p) {
    std::vector<int32_t>& table = track.tables[p];
    if (slots > track.committed && shared_tail(track, p)) {
      int32_t& tail = table[size_t(track.committed / block_slots())];
      if (lacking(track, p, slots) > pools_[p].blocks.free()) {
        pools_[p].blocks.unname(tail);
      } else {
        const int32_t own = copy_block(p, tail);
        pools_[p].blocks.release(tail);
        tail = own;
      }
    }
    while (int64_t(table.size()) * block_slots() < slots) table.push_back(new_block(p));
  }
  return true;
}

// Blocks that no row at `slots` or later sees.
void KvCache::leave_behind(Track& track, size_t pool, int64_t slots) {
  const int64_t last = std::min(first_needed(pool, slots), int64_t(track.tables[pool].size()));
  for (int64_t& i = track.first[pool]; i < last; ++i) {
    int32_t& block = track.tables[pool][size_t(i)];
    if (block >= 0) pools_[pool].blocks.release(block);
    block = -1;
  }
}

void KvCache::commit(TrackId id, int64_t slots, std::span<const BlockName> names) {
  Track& track = tracks_[size_t(id)];
  assert(slots >= track.committed);
  track.committed = slots;
  for (const int64_t whole = std::min(slots / block_slots(), int64_t(names.size())); track.named < whole; ++track.named)
    for (size_t p = 0; p < pools_.size(); ++p) {
      int32_t& block = track.tables[p][size_t(track.named)];
      if (block < 0) continue;
      const int32_t known = pools_[p].blocks.name(block, names[size_t(track.named)]);
      if (known == block) continue;
      pools_[p].blocks.hold(known);  // somebody else made the same: one of the two is enough
      pools_[p].blocks.release(block);
      block = known;
    }
  for (size_t p = 0; p < pools_.size(); ++p) leave_behind(track, p, slots);
}

void KvCache::truncate(TrackId id, int64_t slots) {
  Track& track = tracks_[size_t(id)];
  assert(slots >= track.committed);
  const size_t keep = size_t(ceil_div(slots, block_slots()));
  for (size_t p = 0; p < pools_.size(); ++p)
    for (std::vector<int32_t>& table = track.tables[p]; table.size() > keep; table.pop_back())
      if (table.back() >= 0) pools_[p].blocks.release(table.back());
}

void KvCache::close(TrackId id) {
  Track& track = tracks_[size_t(id)];
  track.committed = track.named = 0;
  truncate(id, 0);
  std::ranges::fill(track.first, 0);
  if (track.source >= 0) sources_->close(track.source);
  track.source = -1;
  track.open = false;
}

void KvCache::forget() {
  for (Pool& pool : pools_) pool.blocks.forget();
}

KvRoom::KvRoom(const KvCache& kv) : kv_(kv) {
  for (const auto& pool : kv.pools_) left_.push_back(pool.blocks.free());
}

bool KvRoom::grow(TrackId id, int64_t slots) {
  const KvCache::Track& track = kv_.tracks_[size_t(id)];
  bool enough = true;
  for (size_t p = 0; p < left_.size(); ++p) {
    const int64_t held = int64_t(track.tables[p].size()) - track.first[p];
    const int64_t most = std::max<int64_t>(0, kv_.pools_[p].most - held);
    left_[p] -= std::min(kv_.lacking(track, p, slots), most);
    enough = enough && left_[p] >= 0;
  }
  return enough;
}

bool KvRoom::join(std::span<const BlockName> names, int64_t slots) {
  const int64_t whole = ceil_div(slots, kv_.block_slots()), found = kv_.find_beginning(names);
  bool enough = true;
  for (size_t p = 0; p < left_.size(); ++p) {
    const BlockPool& blocks = kv_.pools_[p].blocks;
    int64_t held = 0;
    const int64_t first = kv_.first_needed(p, found * kv_.block_slots());
    for (int64_t i = first; i < found; ++i)
      if (blocks.holders(blocks.find(names[size_t(i)])) > 0) ++held;
    left_[p] -= std::min(whole - first, kv_.pools_[p].most) - held;
    enough = enough && left_[p] >= 0;
  }
  return enough;
}

StateView KvCache::state(int32_t layer, TrackId id, int64_t slot) {
  const Pages& pages = layers_[size_t(layer)];
  const std::vector<int32_t>& table = tracks_[size_t(id)].tables[size_t(pages.pool)];
  const auto state_of = [&](int64_t block) { return pages.k->data() + table[size_t(block)] * pages.k_bytes; };
  const int64_t first = slot / kStateChunk * kStateChunk / block_slots(), last = slot / block_slots();
  StateView out;
  if (first > 0) out.before = state_of(first - 1);
  if ((slot + 1) % kStateChunk == 0) out.after = state_of(last);
  for (int64_t block = first; block <= last; ++block)
    out.rows[block - first] = pages.v->data() + table[size_t(block)] * pages.v_bytes;
  return out;
}

void KvCache::see(TrackId id, TrackId source, int64_t rows) {
  Track& track = tracks_[size_t(id)];
  assert(rows <= sources_->tracks_[size_t(source)].committed && track.source < 0);
  track.source = source;
  track.source_rows = int32_t(rows);
}

KvRows KvCache::rows_of(int32_t layer, const Batch& batch) {
  const size_t pool = size_t(layers_[size_t(layer)].pool);
  tables_.resize(size_t(batch.rows()));
  for (const Slice& slice : batch.slices)
    for (int32_t i = 0; i < slice.count; ++i) tables_[size_t(slice.row + i)] = tracks_[size_t(slice.track)].tables[pool].data();
  return {tables_.data(), batch.slots.data(), batch.attend_begin.data(), batch.attend_end.data()};
}

Tensor KvCache::attend(Ctx& ctx, int32_t layer, const Batch& batch, const Tensor& q, const Tensor& k, const Tensor& v,
                       const AttentionOptions& options) {
  const KvRows rows = ctx.measuring() ? KvRows() : rows_of(layer, batch);
  return ops::attention(ctx, q, k, v, layers_[size_t(layer)].view, rows, options);
}

void KvCache::write(Ctx& ctx, int32_t layer, const Batch& batch, const Tensor& k, const Tensor& v) {
  const KvRows rows = ctx.measuring() ? KvRows() : rows_of(layer, batch);
  ops::store_kv(ctx, k, v, layers_[size_t(layer)].view, rows);
}

Tensor KvCache::attend_source(Ctx& ctx, int32_t layer, const Batch& batch, const Tensor& q, const AttentionOptions& options) {
  const Pages& pages = sources_->layers_[size_t(layer)];
  KvRows rows;
  if (!ctx.measuring()) {
    tables_.assign(size_t(batch.rows()), nullptr);
    source_begin_.assign(size_t(batch.rows()), 0);
    source_end_.assign(size_t(batch.rows()), 0);
    for (const Slice& slice : batch.slices) {
      const Track& track = tracks_[size_t(slice.track)];
      if (track.source < 0) continue;
      const int32_t* table = sources_->tracks_[size_t(track.source)].tables[size_t(pages.pool)].data();
      std::fill_n(tables_.begin() + slice.row, slice.count, table);
      std::fill_n(source_end_.begin() + slice.row, slice.count, track.source_rows);
    }
    rows = {tables_.data(), batch.slots.data(), source_begin_.data(), source_end_.data()};
  }
  return ops::attend(ctx, q, pages.view, rows, options);
}

}  // namespace gale
