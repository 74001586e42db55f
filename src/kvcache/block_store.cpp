#include "kvcache/block_store.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/fail.h"
#include "base/log.h"
#include "kvcache/block_file.h"

namespace gale {
namespace {

constexpr double kPatience = 1;            // seconds after which a disk that does not answer counts as away
constexpr int64_t kShare = 16;             // what makes room makes this part of the limit at once
constexpr int64_t kApart = 1000;           // nanoseconds between the times of two blocks
constexpr size_t kFewest = 2, kMost = 64;  // buffers
constexpr size_t kTouches = 4096;

int64_t wall_clock() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

template <class T>
T take_first(std::vector<T>& from) {
  T out = std::move(from.front());
  from.erase(from.begin());
  return out;
}

template <class T>
T take_last(std::vector<T>& from) {
  T out = std::move(from.back());
  from.pop_back();
  return out;
}

}  // namespace

BlockStore::BlockStore(std::shared_ptr<const StoreFolder> folder, const Digest256& cache, Options options)
    : folder_(std::move(folder)), options_(std::move(options)), cache_(cache) {
  for (const int64_t bytes : options_.block_bytes) largest_ = std::max(largest_, size_t(bytes));
  const int64_t least = StoreFolder::disk_bytes(int64_t(kBlockHeader + largest_));
  require(options_.bytes >= least, ErrorCode::invalid_argument,
          "a prefix store of {} bytes does not hold one block of keys and values, which takes {}", options_.bytes, least);
  const size_t count = std::clamp(size_t(options_.buffer_bytes) / std::max(largest_, size_t(1)), kFewest, kMost);
  for (size_t i = 0; i < 2 * count; ++i) {
    auto buffer = std::make_unique<Buffer>();
    buffer->memory = heap_storage(kBlockHeader + largest_);
    (i % 2 == 0 ? free_puts_ : free_reads_).push_back(std::move(buffer));
  }
  for (Buffers* list : {&free_puts_, &puts_, &free_reads_, &read_}) list->reserve(count);
  for (auto* list : {&touched_, &touching_}) list->reserve(kTouches);
  look();
  make_room(0);
  thread_ = std::thread([this] { run(); });
}

BlockStore::~BlockStore() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

// Both are outputs of one keyed hash: no two pairs of them give the same that anybody could find.
BlockId BlockStore::id_of(int32_t pool, const BlockName& name) const {
  BlockId out{cache_, pool};
  for (size_t i = 0; i < name.words.size(); ++i) out.digest.words[i] ^= name.words[i];
  return out;
}

void BlockStore::serve(const Digest256& cache) {
  const std::lock_guard lock(mutex_);
  cache_ = cache;
  wanted_.clear();
  under_way_.clear();
  while (!read_.empty()) free_reads_.push_back(take_last(read_));
}

void BlockStore::on_ready(std::function<void()> call) {
  const std::lock_guard lock(mutex_);
  ready_ = std::move(call);
}

BlockStore::Counts BlockStore::counts() const {
  const std::lock_guard lock(mutex_);
  Counts out = counts_;
  out.bytes = total_;
  out.queued = int64_t(puts_.size()) + (writing_ ? 1 : 0);
  return out;
}

// The block where it waits to be written; nullptr where it does not.
const BlockStore::Buffer* BlockStore::queued(const BlockId& id) const {
  if (writing_ && writing_->id == id) return writing_.get();
  const auto found = std::ranges::find(puts_, id, [](const auto& buffer) { return buffer->id; });
  return found == puts_.end() ? nullptr : found->get();
}

// A time that no other block has: later than all before.
int64_t BlockStore::now() { return last_time_ = std::max(last_time_ + kApart, wall_clock()); }

std::span<std::byte> BlockStore::begin_put(int32_t pool, const BlockName& name, bool wait) {
  std::unique_lock lock(mutex_);
  const BlockId id = id_of(pool, name);
  if (index_.contains(id)) {
    if (touched_.size() < kTouches) touched_.push_back(id), changed_.notify_all();
    return {};
  }
  if (queued(id) != nullptr) return {};
  if (wait) changed_.wait(lock, [&] { return !free_puts_.empty() || broken_; });
  if (free_puts_.empty() || broken_) {
    ++counts_.dropped;
    return {};
  }
  putting_ = take_last(free_puts_);
  putting_->name = name;
  putting_->id = id;
  putting_->cache = cache_;
  putting_->bytes = size_t(options_.block_bytes[size_t(pool)]);
  putting_->used = now();
  return {putting_->memory->data() + kBlockHeader, putting_->bytes};
}

void BlockStore::end_put() {
  const std::lock_guard lock(mutex_);
  puts_.push_back(std::move(putting_));
  changed_.notify_all();
}

bool BlockStore::promises(int32_t pool, const BlockName& name) const {
  const std::lock_guard lock(mutex_);
  if (broken_ || (busy_since_ > 0 && now_seconds() - busy_since_ > kPatience)) return false;
  const BlockId id = id_of(pool, name);
  return index_.contains(id) || under_way_.contains(id) || queued(id) != nullptr;
}

void BlockStore::fetch(int32_t pool, const BlockName& name) {
  const std::lock_guard lock(mutex_);
  if (under_way_.empty()) asked_ = 0, asked_since_ = wall_clock();
  const BlockId id = id_of(pool, name);
  if (!under_way_.emplace(id, true).second) return;
  wanted_.push_back({name, id, asked_since_ - kApart * asked_++});
  changed_.notify_all();
}

std::optional<BlockStore::Arrival> BlockStore::arrival() {
  const std::lock_guard lock(mutex_);
  if (read_.empty()) return std::nullopt;
  taking_ = take_first(read_);
  return Arrival{taking_->id.pool, taking_->name, {taking_->memory->data() + kBlockHeader, taking_->bytes}};
}

void BlockStore::done() {
  const std::lock_guard lock(mutex_);
  under_way_.erase(taking_->id);
  free_reads_.push_back(std::move(taking_));
  ++counts_.restored;
  changed_.notify_all();
}

void BlockStore::run() {
  std::unique_lock lock(mutex_);
  try {
    while (work(lock)) {
    }
  } catch (const std::exception& e) {  // no memory: from now on nothing is kept, and nothing found
    if (!lock.owns_lock()) lock.lock();
    broken_ = true;
    changed_.notify_all();
    if (ready_) ready_();
    warn(warned_of_disk_, fmt::format("no more blocks of keys and values are kept: {}", e.what()));
  }
}

// One piece of it, reads first: somebody waits for them. False: there is nothing left, and nobody who could want something.
bool BlockStore::work(std::unique_lock<std::mutex>& lock) {
  if (!stop_ && !wanted_.empty() && !free_reads_.empty())
    read_one(lock);
  else if (!puts_.empty())
    write_one(lock);
  else if (!touched_.empty())
    touch_all(lock);
  else if (stop_)
    return false;
  else
    changed_.wait(lock);
  busy_since_ = 0;
  return true;
}

void BlockStore::read_one(std::unique_lock<std::mutex>& lock) {
  const Wanted wanted = wanted_.front();
  wanted_.pop_front();
  std::unique_ptr<Buffer> buffer = take_last(free_reads_);
  buffer->name = wanted.name;
  buffer->id = wanted.id;
  buffer->cache = cache_;
  buffer->bytes = size_t(options_.block_bytes[size_t(wanted.id.pool)]);
  bool read = false;
  if (const Buffer* waiting = queued(wanted.id)) {
    std::memcpy(buffer->memory->data(), waiting->memory->data(), kBlockHeader + waiting->bytes);
    read = true;
  } else {
    busy_since_ = now_seconds();
    lock.unlock();
    bool damaged = false;
    read = read_into(*buffer, damaged);
    if (read) folder_->touch(wanted.id, wanted.used);
    if (damaged) folder_->remove(wanted.id);
    lock.lock();
  }
  const auto kept = index_.find(wanted.id);
  if (kept != index_.end() && read) kept->second.used = wanted.used;
  if (kept != index_.end() && !read) total_ -= kept->second.bytes, index_.erase(kept);
  if (read && buffer->cache == cache_ && under_way_.contains(wanted.id)) {
    read_.push_back(std::move(buffer));
  } else {
    free_reads_.push_back(std::move(buffer));
    if (!read) under_way_.erase(wanted.id);
  }
  if (ready_) ready_();
}

// Whether the block is the one that was wanted; `damaged`: there is a file, and it is not.
bool BlockStore::read_into(Buffer& buffer, bool& damaged) const {
  if (options_.slowly) options_.slowly(buffer.id);
  const std::span<std::byte> file(buffer.memory->data(), kBlockHeader + buffer.bytes);
  const StoreFolder::Found found = folder_->read(buffer.id, file);
  if (found == StoreFolder::Found::no) return false;  // another process has made room
  try {
    require(found == StoreFolder::Found::yes, ErrorCode::corrupt, "{} has another size than a block, or cannot be read",
            buffer.id.file());
    const BlockRecord record = parse_block(file, buffer.id.file());
    require(record.cache == buffer.cache && record.name == buffer.name && record.pool == buffer.id.pool &&
                record.payload.size() == buffer.bytes,
            ErrorCode::corrupt, "{} holds another block than its name says", buffer.id.file());
    return true;
  } catch (const Error& e) {
    damaged = true;
    warn(warned_of_damage_,
         fmt::format("a damaged block in {} is removed, as all others will be: {}", folder_->path().string(), e.what()));
    return false;
  }
}

void BlockStore::write_one(std::unique_lock<std::mutex>& lock) {
  writing_ = take_first(puts_);
  const Buffer* buffer = writing_.get();
  const int64_t bytes = StoreFolder::disk_bytes(int64_t(kBlockHeader + buffer->bytes));
  busy_since_ = now_seconds();
  bool written = false;
  if (!index_.contains(buffer->id)) {
    lock.unlock();
    make_room(bytes);
    const std::span<const std::byte> payload(buffer->memory->data() + kBlockHeader, buffer->bytes);
    try {
      const BlockHeader header =
          block_header({.cache = buffer->cache, .name = buffer->name, .pool = buffer->id.pool, .payload = payload});
      folder_->write(buffer->id, header, payload, buffer->used);
      written = true;
      written_since_look_ += bytes;
    } catch (const Error& e) {
      warn(warned_of_disk_, fmt::format("blocks of keys and values are lost, now and while this lasts: {}", e.what()));
    }
    lock.lock();
  }
  if (written) {
    index_[buffer->id] = {bytes, buffer->used};
    total_ += bytes;
    ++counts_.written;
  }
  free_puts_.push_back(std::move(writing_));
  changed_.notify_all();
}

void BlockStore::touch_all(std::unique_lock<std::mutex>& lock) {
  std::swap(touched_, touching_);
  busy_since_ = now_seconds();
  for (const BlockId& id : touching_) {
    const auto kept = index_.find(id);
    if (kept == index_.end()) continue;
    const int64_t used = kept->second.used = now();
    lock.unlock();
    folder_->touch(id, used);
    lock.lock();
  }
  touching_.clear();
}

// What is there now: other processes write too, and make room.
void BlockStore::look() {
  const std::vector<StoreFolder::File> files = folder_->list();
  written_since_look_ = 0;
  const std::lock_guard lock(mutex_);
  index_.clear();
  total_ = 0;
  for (const auto& file : files) index_[file.id] = {file.bytes, file.used}, total_ += file.bytes;
}

void BlockStore::make_room(int64_t bytes) {
  const auto full = [&] {
    const std::lock_guard lock(mutex_);
    return total_ + bytes > options_.bytes;
  };
  if (!full() && written_since_look_ < options_.bytes / kShare) return;
  look();
  if (!full()) return;
  std::vector<std::pair<int64_t, BlockId>> oldest;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, kept] : index_) oldest.emplace_back(kept.used, id);
  }
  std::ranges::sort(oldest, {}, [](const auto& entry) { return entry.first; });
  const int64_t wanted = options_.bytes - options_.bytes / kShare - bytes;
  for (const auto& [used, id] : oldest) {
    {
      const std::lock_guard lock(mutex_);
      if (total_ <= std::max<int64_t>(wanted, 0)) return;
      const auto kept = index_.find(id);
      total_ -= kept->second.bytes;
      index_.erase(kept);
    }
    folder_->remove(id);
  }
}

void BlockStore::warn(bool& warned, std::string_view text) const {
  if (!std::exchange(warned, true)) log_warning("{}", text);
}

}  // namespace gale
