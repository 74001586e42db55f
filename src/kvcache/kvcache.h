#pragma once
#include <cstdint>
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
struct NoLayer {};
using CacheLayer = std::variant<NoLayer, SelfLayer, SharedLayer>;

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
  KvCache(std::vector<CacheLayer> layers, const KvFormat& format, std::vector<int64_t> blocks, int64_t step_rows,
          bool measuring = false);
  /// The same number of blocks in each pool.
  KvCache(std::vector<CacheLayer> layers, const KvFormat& format, int64_t blocks, bool measuring = false);

  /// Of each pool, for a sequence of `slots` slots in steps of up to `step_rows` rows. Empty for a model that keeps nothing.
  static std::vector<KvNeed> needs(const std::vector<CacheLayer>& layers, const KvFormat& format, int64_t slots,
                                   int64_t step_rows);
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

 private:
  friend class KvRoom;
  struct Track {
    std::vector<std::vector<int32_t>> tables;  // by pool; -1 where a block lies behind the window
    std::vector<int64_t> first;                // by pool: the first block that does not
    int64_t committed = 0, named = 0;          // slots, blocks
    bool open = false;
  };
  struct Pages {
    StorageRef k, v;
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
  BlockStore* store_ = nullptr;
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
