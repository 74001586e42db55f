#pragma once
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "batch/batch.h"
#include "kernels/ops.h"

namespace gale {

/// The type a name ("f32", "f16", "bf16", "q8_0") stands for; "" is f32 where `exact`, else bf16 (docs/why/attention.md).
/// Throws Error{invalid_argument} for other names.
KvType choose_kv_type(std::string_view name, bool exact);
const char* kv_type_name(KvType type) noexcept;

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

/// Paged keys and values: a fixed pool of blocks of 64 slots, one block covering all layers; each track owns a table of blocks.
/// Memory only: whom to evict is the scheduler's business. Belongs to the engine thread.
///
/// Rows are written at explicit slots and stay overwritable (drafts, block diffusion) until commit() declares them final.
class KvCache {
 public:
  static constexpr int64_t kBlockSlots = kPageSlots;

  /// Throws Error{unsupported} for head widths beyond what attention takes, Error{out_of_memory} where the pool does not fit.
  /// `measuring`: no memory; only attend()'s outputs are asked for.
  KvCache(std::vector<CacheLayer> layers, KvType type, int64_t blocks, bool measuring = false);

  static int64_t block_bytes(const std::vector<CacheLayer>& layers, KvType type);
  int64_t blocks() const { return blocks_; }
  int64_t free_blocks() const { return int64_t(free_.size()); }
  KvType type() const { return type_; }

  TrackId open();
  /// Makes slots [0, slots) of the track writable; new pages are zeroed. False: the pool is too full, nothing changed.
  bool reserve(TrackId track, int64_t slots);
  /// Slots [0, slots) will not be written again.
  void commit(TrackId track, int64_t slots);
  /// Gives back whole blocks beyond the first `slots`. REQUIRES: slots >= what was committed.
  void truncate(TrackId track, int64_t slots);
  void close(TrackId track);

  /// Writes k, v [rows, kv heads, width] into the layer's pages at batch.slots, then attends: [rows, heads x v width].
  /// REQUIRES: every slot of the batch is reserved.
  Tensor attend(Ctx& ctx, int32_t layer, const Batch& batch, const Tensor& q, const Tensor& k, const Tensor& v,
                const AttentionOptions& options);

 private:
  struct Track {
    std::vector<int32_t> table;
    int64_t committed = 0;
    bool open = false;
  };
  struct Pages {
    StorageRef k, v;
    int64_t k_bytes = 0, v_bytes = 0;  // of one block
    KvPages view;
  };
  void zero_block(int32_t block);

  std::vector<Pages> layers_;  // of SelfLayers; a SharedLayer repeats the view, without storage
  KvType type_;
  int64_t blocks_;
  std::vector<int32_t> free_;
  std::vector<Track> tracks_;
  std::vector<const int32_t*> tables_;  // of the rows of the batch in hand
};

}  // namespace gale
