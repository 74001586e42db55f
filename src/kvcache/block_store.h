#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "kvcache/block_names.h"
#include "kvcache/store_folder.h"
#include "tensor/storage.h"

namespace gale {

/// Blocks of keys and values on disk: what memory had no room for, and what a process before this one had. A thread of its own
/// writes and reads; whoever steps the model only hands it copies and takes what it has read, and never waits for it.
///
/// What does not fit into its buffers is dropped, what is damaged or another cache's is not found, and where the disk is full or
/// away nothing is kept: all that costs time later, never a bit of a result. The bytes on disk stay under a limit: the block
/// unused for longest goes first.
class BlockStore {
 public:
  struct Options {
    int64_t bytes = 0;                                ///< on disk, at most
    std::vector<int64_t> block_bytes;                 ///< of each pool
    int64_t buffer_bytes = int64_t(64) << 20;         ///< of copies on their way to the disk, and as many coming from it
    std::function<void(const BlockId&)> slowly = {};  ///< for tests: called on the thread before each reading
  };
  /// `cache`: what made the blocks, see BlockRecord. Throws Error{invalid_argument} where the limit does not hold one block.
  BlockStore(std::shared_ptr<const StoreFolder> folder, const Digest256& cache, Options options);
  /// Writes what it was given.
  ~BlockStore();
  BlockStore(const BlockStore&) = delete;
  BlockStore& operator=(const BlockStore&) = delete;

  /// From now on blocks are another cache's: those of before are not found, and what is on its way is forgotten.
  void serve(const Digest256& cache);
  /// Called from the store's thread when there is something to receive(), until it is replaced.
  void on_ready(std::function<void()> call);

  // The rest is for one thread, the engine's. Nothing waits for the disk or allocates but fetch(), and begin_put where `wait`.

  /// Where to copy a block that is given up, to be written after end_put(). Empty: no need to, or no room. `wait`: for room.
  std::span<std::byte> begin_put(int32_t pool, const BlockName& name, bool wait = false);
  void end_put();
  /// Whether the block is on disk or on its way there, as far as is known, and the disk answers.
  bool promises(int32_t pool, const BlockName& name) const;
  /// Asks for a block, once for all who do. Of a text the beginning first: it is kept for longest.
  void fetch(int32_t pool, const BlockName& name);

  struct Arrival {
    int32_t pool = 0;
    BlockName name;
    std::span<const std::byte> bytes;
  };
  /// The next block that was read; good until done() takes it back.
  std::optional<Arrival> arrival();
  void done();

  struct Counts {
    int64_t bytes = 0;                               ///< on disk
    int64_t written = 0, restored = 0, dropped = 0;  ///< blocks
    int64_t queued = 0;                              ///< blocks on their way to the disk
  };
  Counts counts() const;
  int64_t limit() const { return options_.bytes; }
  const StoreFolder& folder() const { return *folder_; }

 private:
  struct Hash {
    size_t operator()(const BlockId& id) const { return size_t(id.digest.words[0]) + size_t(id.pool); }
  };
  struct Buffer {
    StorageRef memory;
    BlockName name;
    BlockId id;
    Digest256 cache;
    size_t bytes = 0;
    int64_t used = 0;
  };
  using Buffers = std::vector<std::unique_ptr<Buffer>>;
  struct Wanted {
    BlockName name;
    BlockId id;
    int64_t used;
  };
  struct Kept {
    int64_t bytes, used;
  };

  BlockId id_of(int32_t pool, const BlockName& name) const;
  const Buffer* queued(const BlockId& id) const;
  int64_t now();
  void run();
  bool work(std::unique_lock<std::mutex>& lock);
  void read_one(std::unique_lock<std::mutex>& lock);
  bool read_into(Buffer& buffer, bool& damaged) const;
  void write_one(std::unique_lock<std::mutex>& lock);
  void touch_all(std::unique_lock<std::mutex>& lock);
  void make_room(int64_t bytes);
  void look();
  void warn(bool& warned, std::string_view text) const;

  const std::shared_ptr<const StoreFolder> folder_;
  const Options options_;
  size_t largest_ = 0;  // bytes of a block

  mutable std::mutex mutex_;  // of all below but where it says otherwise
  std::condition_variable changed_;
  Digest256 cache_;
  std::unordered_map<BlockId, Kept, Hash> index_;
  int64_t total_ = 0;                             // bytes of the index
  Buffers free_puts_, puts_, free_reads_, read_;  // those in use in order, oldest first
  std::unique_ptr<Buffer> putting_, taking_;      // the engine's
  std::unique_ptr<Buffer> writing_;               // the thread's
  std::deque<Wanted> wanted_;
  std::unordered_map<BlockId, bool, Hash> under_way_;  // wanted, being read, or read
  std::vector<BlockId> touched_, touching_;
  std::function<void()> ready_;
  Counts counts_;
  double busy_since_ = 0;  // by now_seconds(): when the disk was asked for what it is at, 0: nothing
  int64_t last_time_ = 0;
  int64_t asked_ = 0, asked_since_ = 0;  // blocks since nothing was under way, and when that was
  bool stop_ = false, broken_ = false;

  int64_t written_since_look_ = 0;                                  // the thread's own
  mutable bool warned_of_damage_ = false, warned_of_disk_ = false;  // the thread's own
  std::thread thread_;                                              // last: it uses all of the above
};

}  // namespace gale
