#include <algorithm>
#include <cassert>

#include "base/checked.h"
#include "kernels/ops.h"

// How attention is cut for threads. An item is a tile of queries of one kv head, which share the loads of K and V; where that
// gives too few items of even size, as when one row decodes at depth, tiles are cut into parts along the slots. No cut touches a
// bit.
namespace gale::ops {
namespace {

constexpr int64_t kPartsPerThread = 4;  // fine enough to even out threads of different luck
constexpr int64_t kRoundSpans = 64;     // memory for the partials of one row this deep; more is done in rounds

// The spans a tile sees. `end` may exceed what single rows of it see.
struct Spans {
  int64_t begin = 0, end = 0;
  int64_t count() const { return end - begin; }
};

Spans spans_of(const AttentionArgs& a, const AttentionTile& tile) {
  const int64_t group = a.heads / a.pages.heads;
  int64_t low = INT64_MAX, high = 0;
  for (int64_t row = tile.begin / group; row * group < tile.end; ++row) {
    int64_t begin = a.seen.begin[row];
    if (a.window > 0) begin = std::max<int64_t>(begin, int64_t(a.seen.slots[row]) + 1 - a.window);
    if (begin >= a.seen.end[row]) continue;
    low = std::min(low, begin);
    high = std::max<int64_t>(high, a.seen.end[row]);
  }
  return low < high ? Spans{low / kSpanSlots, ceil_div(high, kSpanSlots)} : Spans{};
}

class Plan {
 public:
  // `memory` has room for most_tiles() tiles, twice.
  Plan(AttentionArgs& args, AttentionTile* memory, float* partials, int64_t partial_room, int threads)
      : a_(args), tiles_(memory), cut_(memory + most_tiles(args, threads)), partials_(partials), threads_(threads) {
    cut_rows();
    if (threads > 1) choose_cuts(partial_room);
  }

  static int64_t most_tiles(const AttentionArgs& a, int threads) {
    const int64_t group = a.heads / a.pages.heads;
    return a.rows * ceil_div(group, tile_queries(a.pages.k_width, a.pages.v_width)) + kPartsPerThread * threads;
  }

  void run(ThreadPool& pool, const CpuKernels& cpu) {
    const int64_t heads = a_.pages.heads;
    do {
      AttentionArgs round = a_;
      round.tiles = tiles_;
      round.tile_count = whole_ + add_parts();
      pool.for_each(round.tile_count * heads, 1, [&](int64_t b, int64_t e) { cpu.attention(round, b, e); });
      if (cuts_ == 0) return;
      for (int64_t i = 0; i < cuts_; ++i) window(cut_[i]);
      round.tiles = cut_;
      round.tile_count = cuts_;
      pool.for_each(cuts_ * heads, 1, [&](int64_t b, int64_t e) { cpu.merge_attention(round, b, e); });
      whole_ = 0;
      a_.round_first += a_.round_spans;
      const auto done = [&](const AttentionTile& tile) { return spans_of(a_, tile).end <= a_.round_first; };
      cuts_ = std::remove_if(cut_, cut_ + cuts_, done) - cut_;
    } while (cuts_ > 0);
  }

 private:
  // Consecutive rows of one track, cut evenly.
  void cut_rows() {
    const int64_t group = a_.heads / a_.pages.heads, largest = tile_queries(a_.pages.k_width, a_.pages.v_width);
    for (int64_t row = 0, end = 0; row < a_.rows; row = end) {
      for (end = row; end < a_.rows && a_.seen.tables[end] == a_.seen.tables[row];) ++end;
      const int64_t queries = (end - row) * group, pieces = ceil_div(queries, largest);
      for (int64_t i = 0; i < pieces; ++i) {
        AttentionTile& tile = tiles_[whole_++];
        tile = AttentionTile();
        tile.begin = int32_t(row * group + queries * i / pieces);
        tile.end = int32_t(row * group + queries * (i + 1) / pieces);
      }
    }
  }

  // Work of a tile: loading a span costs about as much as the dots of four queries.
  int64_t cost(const AttentionTile& tile) const { return spans_of(a_, tile).count() * std::max(4, tile.end - tile.begin); }

  // Moves the tiles that are more than their share to `cut_`, if their partials find room for a few spans at a time.
  void choose_cuts(int64_t partial_room) {
    int64_t total = 0, queries = 0, kept = 0;
    for (int64_t i = 0; i < whole_; ++i) total += cost(tiles_[i]);
    share_ = std::max<int64_t>(1, total * a_.pages.heads / (threads_ * kPartsPerThread));
    const auto too_large = [&](const AttentionTile& tile) { return cost(tile) > share_ && spans_of(a_, tile).count() > 1; };
    for (int64_t i = 0; i < whole_; ++i)
      if (too_large(tiles_[i])) queries += tiles_[i].end - tiles_[i].begin;
    if (queries == 0) return;
    const int64_t span_floats = queries * a_.pages.heads * partial_floats(a_.pages.v_width);
    a_.round_spans = partial_room / span_floats - 1;
    if (a_.round_spans < kPartsPerThread) return;
    a_.round_first = INT64_MAX;
    for (int64_t i = 0; i < whole_; ++i) {
      if (!too_large(tiles_[i])) {
        tiles_[kept++] = tiles_[i];
        continue;
      }
      AttentionTile& tile = cut_[cuts_++] = tiles_[i];
      tile.partials = partials_;
      partials_ += (a_.round_spans + 1) * (tile.end - tile.begin) * a_.pages.heads * partial_floats(a_.pages.v_width);
      a_.round_first = std::min(a_.round_first, spans_of(a_, tile).begin);
    }
    whole_ = kept;
  }

  // A cut tile as this round sees it.
  void window(AttentionTile& tile) const {
    tile.first_span = int32_t(a_.round_first);
    tile.end_span = int32_t(std::min<int64_t>(a_.round_first + a_.round_spans, INT32_MAX));
  }

  // Appends this round's parts to the whole tiles. A part has at most a share of work, all together at most a share per part.
  int64_t add_parts() {
    int64_t count = 0;
    for (int64_t i = 0; i < cuts_; ++i) {
      AttentionTile tile = cut_[i];
      const Spans all = spans_of(a_, tile);
      const int64_t begin = std::max(all.begin, a_.round_first), end = std::min(all.end, a_.round_first + a_.round_spans);
      if (begin >= end) continue;
      const int64_t work = (end - begin) * std::max(4, tile.end - tile.begin);
      const int64_t pieces = std::clamp<int64_t>(work / share_, 1, end - begin);
      for (int64_t p = 0; p < pieces; ++p) {
        tile.first_span = int32_t(begin + (end - begin) * p / pieces);
        tile.end_span = int32_t(begin + (end - begin) * (p + 1) / pieces);
        tiles_[whole_ + count++] = tile;
      }
    }
    return count;
  }

  AttentionArgs& a_;
  AttentionTile *tiles_, *cut_;
  float* partials_;
  int threads_;
  int64_t whole_ = 0, cuts_ = 0, share_ = 1;
};

}  // namespace

// Sixteen slots share a cache line, so that a thread takes whole pages' worth.
void store_kv(Ctx& ctx, const Tensor& k, const Tensor& v, const KvPages& pages, const KvRows& rows) {
  if (ctx.measuring()) return;
  ctx.pool.for_each(k.dim(0), kGroupSlots,
                    [&](int64_t b, int64_t e) { ctx.cpu.store_kv(k.data<float>(), v.data<float>(), pages, rows, b, e); });
}

Tensor attend(Ctx& ctx, const Tensor& q, const KvPages& pages, const KvRows& rows, const AttentionOptions& options) {
  assert(q.dim(2) == pages.k_width && q.dim(1) % pages.heads == 0);
  AttentionArgs a;
  a.rows = q.dim(0);
  a.heads = q.dim(1);
  a.pages = pages;
  a.seen = rows;
  a.scale = options.scale;
  a.softcap = options.softcap;
  a.window = options.window;
  Tensor y = ctx.tensor({a.rows, a.heads * pages.v_width});
  y.set_row_map(q.row_map());
  const int64_t partial_room = (kRoundSpans + 1) * a.heads * partial_floats(pages.v_width);
  const StorageRef partials = ctx.arena.bytes(size_t(partial_room) * sizeof(float));
  const StorageRef tiles = ctx.arena.bytes(size_t(2 * Plan::most_tiles(a, ctx.pool.threads())) * sizeof(AttentionTile));
  if (ctx.measuring()) return y;
  a.q = q.data<float>();
  a.out = y.data<float>();
  if (options.sinks) a.sinks = options.sinks->data<float>();
  if (options.bias)
    a.bias = options.bias->data<float>(), a.bias_length = options.bias->dim(1), a.bias_center = options.bias_center;
  Plan plan(a, reinterpret_cast<AttentionTile*>(tiles->data()), reinterpret_cast<float*>(partials->data()), partial_room,
            ctx.pool.threads());
  plan.run(ctx.pool, ctx.cpu);
  return y;
}

// All of a chunk is written before any of it is read: rows of one chunk see each other through the cache, rounded like the rest.
Tensor attention(Ctx& ctx, const Tensor& q, const Tensor& k, const Tensor& v, const KvPages& pages, const KvRows& rows,
                 const AttentionOptions& options) {
  store_kv(ctx, k, v, pages, rows);
  return attend(ctx, q, pages, rows, options);
}

}  // namespace gale::ops
