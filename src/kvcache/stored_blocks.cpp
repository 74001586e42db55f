#include <algorithm>
#include <cassert>
#include <cstring>

#include "kvcache/block_file.h"
#include "kvcache/kvcache.h"

// Blocks that leave the cache's memory and come back: to a store on disk, or into a session's file.
namespace gale {
namespace {

constexpr int64_t kBytesAtOnce = int64_t(64) << 20;  // that one step waits for, a few milliseconds' worth

}  // namespace

void KvCache::gather(size_t pool, int32_t block, std::byte* to) const {
  for (const auto& pages : layers_) {
    if (!pages.k || pages.pool != int32_t(pool)) continue;
    std::memcpy(to, pages.k->data() + block * pages.k_bytes, size_t(pages.k_bytes));
    std::memcpy(to + pages.k_bytes, pages.v->data() + block * pages.v_bytes, size_t(pages.v_bytes));
    to += pages.k_bytes + pages.v_bytes;
  }
}

void KvCache::scatter(size_t pool, int32_t block, const std::byte* from) {
  for (auto& pages : layers_) {
    if (!pages.k || pages.pool != int32_t(pool)) continue;
    std::memcpy(pages.k->data() + block * pages.k_bytes, from, size_t(pages.k_bytes));
    std::memcpy(pages.v->data() + block * pages.v_bytes, from + pages.k_bytes, size_t(pages.v_bytes));
    from += pages.k_bytes + pages.v_bytes;
  }
}

void KvCache::to_store(size_t pool, int32_t block, bool wait) {
  const std::span<std::byte> room = store_->begin_put(int32_t(pool), pools_[pool].blocks.name_of(block), wait);
  if (room.empty()) return;
  gather(pool, block, room.data());
  store_->end_put();
}

bool KvCache::fetch(TrackId id, std::span<const BlockName> names, int64_t slots) {
  const Track& track = tracks_[size_t(id)];
  if (store_ == nullptr || !may_adopt(track)) return false;
  const int64_t begun = track.committed / block_slots();
  const int64_t count = reachable(track, names.first(std::min(names.size(), size_t(slots / block_slots()))));
  std::vector<int64_t> missing(pools_.size());
  for (int64_t i = begun; i < count; ++i)
    for (size_t p = 0; p < pools_.size(); ++p) {
      const bool seen = begun > 0 || i >= first_needed(p, count * block_slots());
      if (!seen || is_here(p, names[size_t(i)])) continue;
      if (++missing[p] > pools_[p].blocks.free()) return false;  // no place for it: nobody shall wait
    }
  if (std::ranges::all_of(missing, [](int64_t n) { return n == 0; })) return false;
  for (int64_t i = begun; i < count; ++i)
    for (size_t p = 0; p < pools_.size(); ++p) {
      const bool seen = begun > 0 || i >= first_needed(p, count * block_slots());
      if (seen && !is_here(p, names[size_t(i)])) store_->fetch(int32_t(p), names[size_t(i)]);
    }
  return true;
}

void KvCache::receive() {
  if (store_ == nullptr) return;
  for (int64_t bytes = 0; bytes < kBytesAtOnce;) {
    const auto block = store_->arrival();
    if (!block) return;
    bytes += int64_t(block->bytes.size());
    keep(block->pool, block->name, block->bytes);
    store_->done();
  }
}

bool KvCache::keep(int32_t pool, const BlockName& name, std::span<const std::byte> bytes) {
  BlockPool& blocks = pools_[size_t(pool)].blocks;
  assert(int64_t(bytes.size()) == block_bytes(pool));
  if (blocks.find(name) >= 0) return true;
  if (blocks.free() == 0) return false;
  const int32_t block = take_block(size_t(pool));
  scatter(size_t(pool), block, bytes.data());
  blocks.name(block, name);
  blocks.release(block);
  return true;
}

// The newest that the store has room for, but written oldest first: so they stay in the order in which they would be given up.
void KvCache::store_kept() {
  if (store_ == nullptr) return;
  for (size_t p = 0; p < pools_.size(); ++p) {
    const BlockPool& blocks = pools_[p].blocks;
    const int64_t room = store_->limit() / int64_t(pools_.size()) / (pools_[p].block_bytes + int64_t(kBlockHeader));
    int64_t beyond = blocks.kept() - room;
    for (int32_t block = blocks.kept_after(-1); block >= 0; block = blocks.kept_after(block))
      if (--beyond < 0) to_store(p, block, true);
  }
}

std::vector<KvPlace> KvCache::find(std::span<const BlockName> names) const {
  const int64_t count = find_beginning(names);
  std::vector<KvPlace> out;
  for (int64_t i = 0; i < count; ++i)
    for (size_t p = 0; p < pools_.size(); ++p)
      if (i >= first_needed(p, count * block_slots())) out.push_back({int32_t(p), i});
  return out;
}

bool KvCache::copy_out(int32_t pool, const BlockName& name, std::span<std::byte> to) const {
  const int32_t block = pools_[size_t(pool)].blocks.find(name);
  assert(int64_t(to.size()) >= block_bytes(pool));
  if (block >= 0) gather(size_t(pool), block, to.data());
  return block >= 0;
}

}  // namespace gale
