#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "batch/batch.h"
#include "kernels/ops.h"
#include "kvcache/block_names.h"
#include "kvcache/block_pool.h"
#include "kvcache/block_store.h"

namespace gale {

/// What a layer keeps between steps.
struct SelfLayer {
  int32_t heads = 0, k_width = 0, v_width = 0;
  int32_t window = 0;  ///< slots ever seen by a later row, 0: all
};
/// Reads and writes the pages of an earlier layer.
struct SharedLayer {
  int32_t layer = 0;
};
/// Keeps a state that every row advances (recurrent layers, convolutions): what it was behind every kStateChunk rows of the text,
/// and what the rows since have to do with it. A row's output comes of the state before its chunk and the chunk's rows up to
/// it, in prefill and decode by the one formula: so prefixes are found, and drafts undone, as keys and values are.
struct StateLayer {
  int64_t bytes = 0, row_bytes = 0;  ///< of a state; of what is kept of a row; at least 1 each
};
/// Sees keys and values of a source (KvCache::sources()): of what an encoder made of speech or of a picture.
struct CrossLayer {
  int32_t heads = 0, k_width = 0, v_width = 0;
};
struct NoLayer {};
using CacheLayer = std::variant<NoLayer, SelfLayer, SharedLayer, StateLayer, CrossLayer>;

/// Rows between two states, whatever the size of a block: another number would give other bits.
constexpr int64_t kStateChunk = kGroupSlots;

/// What a StateLayer has for the row at a slot.
struct StateView {
  const std::byte* before = nullptr;       ///< the state behind the chunk before; null: there is none, it is zero
  std::byte* after = nullptr;              ///< for the chunk's last row: where the state behind it goes; else null
  std::byte* rows[kStateChunk / 16] = {};  ///< what is kept of the chunk's rows, up to this one, by block
};

/// Block `index` of a text, as one pool has it.
struct KvPlace {
  int32_t pool = 0;
  int64_t index = 0;
};

/// What one sequence takes of one pool at most.
struct KvNeed {
  int64_t block_bytes = 0, blocks = 0;
};

/// Paged keys and values: blocks of slots, in one pool for each width of window that the layers have, a block covering all the
/// layers of its pool; each track owns a table of blocks per pool. Memory only: whom to evict is the scheduler's business.
/// Belongs to the engine thread.
///
/// Rows are written at explicit slots and stay overwritable (drafts, block diffusion) until commit() declares them final. Blocks
/// that are committed with a name may be shared with every later text that begins the same way; they are kept when their tracks
/// close until their memory is wanted. Where all layers of a pool have a window, blocks behind it are given back.
class KvCache {
 public:
  /// `blocks` of each pool, in the order of needs(). Throws Error{unsupported} for head widths beyond what attention takes,
  /// Error{out_of_memory} where a pool does not fit. `measuring`: no memory; only attend()'s outputs are asked for.
  /// `source_blocks`: of what cross layers see.
  KvCache(std::vector<CacheLayer> layers, const KvFormat& format, std::vector<int64_t> blocks, int64_t step_rows,
          bool measuring = false, int64_t source_blocks = 0);
  /// The same number of blocks in each pool.
  KvCache(std::vector<CacheLayer> layers, const KvFormat& format, int64_t blocks, bool measuring = false);

  /// Of each pool, for a sequence of `slots` slots in steps of up to `step_rows` rows. Empty for a model that keeps nothing.
  static std::vector<KvNeed> needs(const std::vector<CacheLayer>& layers, const KvFormat& format, int64_t slots,
                                   int64_t step_rows);
  /// Of sources(), for a source of `rows` rows. Zero blocks of zero bytes where there are no cross layers.
  static KvNeed source_need(const std::vector<CacheLayer>& layers, const KvFormat& format, int64_t rows);
  const KvFormat& format() const { return format_; }
  int64_t block_slots() const { return format_.block_slots; }

  /// Of the pool that has the fewest; blocks kept for later texts count as free. INT32_MAX where there is no pool.
  int64_t free_blocks() const;
  int64_t blocks() const;
  /// Bytes of blocks that tracks hold, and of those kept for later texts.
  int64_t held_bytes() const;
  int64_t kept_bytes() const;

  TrackId open();
  /// Gives the track as many of its text's next blocks as are here, up to `slots`: they are committed at once. Returns what is
  /// committed then. Nothing happens to a track that has begun a block.
  int64_t adopt(TrackId track, std::span<const BlockName> names, int64_t slots);
  /// Gives the track the next slots up to `slots` from another one, which has committed them for the same text. A block that is
  /// not full is theirs together until one of them writes to it. False: the other's window has moved on, nothing changed.
  /// REQUIRES: the track has not begun a block.
  bool share(TrackId track, TrackId other, int64_t slots);
  /// Makes slots [committed, slots) of the track writable; new pages are zeroed. False: a pool is too full, nothing changed.
  bool reserve(TrackId track, int64_t slots);
  /// Slots [0, slots) will not be written again. `names` of the text's whole blocks, as many as shall be found by later texts.
  void commit(TrackId track, int64_t slots, std::span<const BlockName> names = {});
  /// Gives back whole blocks beyond the first `slots`. REQUIRES: slots >= what was committed.
  void truncate(TrackId track, int64_t slots);
  void close(TrackId track);
  /// Nothing that was committed will be found by later texts: the weights it was made with are gone.
  void forget();

  /// From now on blocks whose memory is wanted go to the store, which outlives the cache.
  void attach(BlockStore& store) { store_ = &store; }
  /// Asks the store for what adopt() could take over if it were here. True: some of it is on its way.
  bool fetch(TrackId track, std::span<const BlockName> names, int64_t slots);
  /// Keeps what the store has read.
  void receive();
  /// Gives the store everything that is kept, as far as it has room, and waits until it has taken it.
  void store_kept();

  /// What there is of a text's beginning: all that a row behind it sees.
  std::vector<KvPlace> find(std::span<const BlockName> names) const;
  /// Bytes of a block of that pool: of each layer the pages of its keys, then those of its values.
  int64_t block_bytes(int32_t pool) const { return pools_[size_t(pool)].block_bytes; }
  size_t pools() const { return pools_.size(); }
  /// A block's bytes into `to`, which has room for them. False: it is not here.
  bool copy_out(int32_t pool, const BlockName& name, std::span<std::byte> to) const;
  /// Keeps a block. False: everything is held. REQUIRES: `bytes` are those of a block of that pool.
  bool keep(int32_t pool, const BlockName& name, std::span<const std::byte> bytes);

  /// Writes k, v [rows, kv heads, width] into the layer's pages at batch.slots, then attends: [rows, heads x v width].
  /// REQUIRES: every slot of the batch is reserved.
  Tensor attend(Ctx& ctx, int32_t layer, const Batch& batch, const Tensor& q, const Tensor& k, const Tensor& v,
                const AttentionOptions& options);

  /// What the layer has for the row at `slot`, which is reserved. The rows of a chunk are written in order; whoever writes its
  /// last one writes `after` too. Both may come again, after a draft that was refused.
  StateView state(int32_t layer, TrackId track, int64_t slot);

  /// A cache for what cross layers see, null where there are none: its tracks are sources, their slots a source's rows. A source
  /// is written once, by write(), and committed under names (of a hash of the picture, say), so that the next text that sees it
  /// may adopt() it and nobody runs the encoder again.
  KvCache* sources() { return sources_.get(); }
  /// From now on the text sees `rows` rows of a source in its cross layers. The source's track is the text's: closed with it, and
  /// shared by share(). REQUIRES: they are committed.
  void see(TrackId track, TrackId source, int64_t rows);
  /// Writes k, v [rows, kv heads, width] into the layer's pages at batch.slots.
  void write(Ctx& ctx, int32_t layer, const Batch& batch, const Tensor& k, const Tensor& v);
  /// What each row's text sees in a cross layer, all of its source: [rows, heads x v width], 0 where it has none.
  Tensor attend_source(Ctx& ctx, int32_t layer, const Batch& batch, const Tensor& q, const AttentionOptions& options);

 private:
  friend class KvRoom;
  struct Track {
    std::vector<std::vector<int32_t>> tables;  // by pool; -1 where a block lies behind the window
    std::vector<int64_t> first;                // by pool: the first block that does not
    int64_t committed = 0, named = 0;          // slots, blocks
    TrackId source = -1;                       // of sources()
    int32_t source_rows = 0;
    bool open = false;
  };
  struct Pages {
    StorageRef k, v;                   // of a StateLayer the states and the rows
    int64_t k_bytes = 0, v_bytes = 0;  // of one block
    KvPages view;
    int32_t pool = -1;
  };
  struct Pool {
    BlockPool blocks;
    int64_t window, block_bytes;
    int64_t most;  // blocks of one track whose window has moved on
  };
  bool shared_tail(const Track& track, size_t pool) const;
  bool may_take_tail(const Track& track, size_t pool) const;
  KvRows rows_of(int32_t layer, const Batch& batch);
  int64_t lacking(const Track& track, size_t pool, int64_t slots) const;
  int32_t take_block(size_t pool);
  void to_store(size_t pool, int32_t block, bool wait);
  void gather(size_t pool, int32_t block, std::byte* to) const;
  void scatter(size_t pool, int32_t block, const std::byte* from);
  int32_t new_block(size_t pool);
  int32_t copy_block(size_t pool, int32_t from);
  void leave_behind(Track& track, size_t pool, int64_t slots);
  int64_t first_needed(size_t pool, int64_t slots) const;
  bool may_adopt(const Track& track) const;
  int64_t reachable(const Track& track, std::span<const BlockName> names) const;
  bool is_here(size_t pool, const BlockName& name) const { return pools_[pool].blocks.find(name) >= 0; }
  template <class IsHere>
  int64_t find_beginning(std::span<const BlockName> names, const IsHere& is_here) const;
  int64_t find_beginning(std::span<const BlockName> names) const;
  template <class IsHere>
  int64_t find_next(const Track& track, std::span<const BlockName> names, const IsHere& is_here) const;

  std::vector<Pages> layers_;  // of SelfLayers; a SharedLayer repeats the view, without storage
  KvFormat format_;
  std::vector<Pool> pools_;
  std::vector<Track> tracks_;
  std::vector<const int32_t*> tables_;  // of the rows of the batch in hand
  std::vector<int32_t> source_begin_, source_end_;
  BlockStore* store_ = nullptr;
  std::unique_ptr<KvCache> sources_;
};

/// What is left of the pools once the tracks that run have grown: who may join them.
class KvRoom {
 public:
  explicit KvRoom(const KvCache& kv);
  /// Sets aside what the track needs to reach `slots` slots. False where there is not as much.
  bool grow(TrackId track, int64_t slots);
  /// The same for a text that has no track yet; what others hold of its beginning it shares.
  bool join(std::span<const BlockName> names, int64_t slots);

 private:
  const KvCache& kv_;
  std::vector<int64_t> left_;
};

}  // namespace gale
