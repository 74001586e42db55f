#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gale {

/// Drawn anew by each process, so that no file can hold texts that all fall into one slot.
struct HashKey {
  uint64_t first, second;
  static const HashKey& get() noexcept;
};

/// Both halves of the product, one over the other: every bit of either factor reaches every bit.
inline uint64_t fold(uint64_t a, uint64_t b) noexcept {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return uint64_t(product) ^ uint64_t(product >> 64);
}

/// Mixes all bytes of a text into 32 bits, by a secret key.
inline uint32_t hash_text(std::string_view text, const HashKey& key) noexcept {
  uint64_t h = key.first ^ text.size(), word = 0;
  const char* p = text.data();
  size_t left = text.size();
  for (; left >= 8; p += 8, left -= 8) {
    std::memcpy(&word, p, 8);
    h = fold(h ^ word, key.second);
  }
  word = 0;
  if (left >= 4) {  // the halves may share bytes: the text's length says which
    uint32_t low, high;
    std::memcpy(&low, p, 4);
    std::memcpy(&high, p + left - 4, 4);
    word = low | uint64_t(high) << 32;
  } else if (left > 0) {
    word = uint64_t(uint8_t(p[0])) | uint64_t(uint8_t(p[left / 2])) << 8 | uint64_t(uint8_t(p[left - 1])) << 16;
  }
  return uint32_t(fold(h ^ word, key.second) ^ key.first);
}

/// For the maps of the standard library.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const noexcept { return hash_text(text, HashKey::get()); }
};

/// Ids by text, where the texts live elsewhere and each one counts once. Sized once.
class TextIndex {
 public:
  explicit TextIndex(size_t texts = 0) {
    size_t slots = 16;
    while (slots < texts * 2) slots *= 2;
    slots_.resize(slots);
  }
  /// The last id given to a text stands; says the one before, or -1. REQUIRES: no more texts than the index was made for.
  int32_t set(std::string_view text, int32_t id) {
    const uint32_t h = hash_text(text, key_);
    Slot& slot = slots_[slot_of(text, h)];
    const int32_t before = slot.id;
    slot = {text, h, id};
    return before;
  }
  /// Fetches what set and find of this text will look at first: a vocabulary's index does not fit into a cache.
  void fetch(std::string_view text) const noexcept { __builtin_prefetch(&slots_[hash_text(text, key_) & (slots_.size() - 1)]); }
  /// -1 where the text is not there.
  int32_t find(std::string_view text) const noexcept { return slots_[slot_of(text, hash_text(text, key_))].id; }
  /// The same for kMany texts, or fewer, at once: their waits for memory pass together.
  static constexpr size_t kMany = 64;
  void find(std::span<const std::string_view> texts, std::span<int32_t> ids) const noexcept {
    std::array<uint32_t, kMany> hashes;
    for (size_t i = 0; i < texts.size(); ++i) {
      hashes[i] = hash_text(texts[i], key_);
      __builtin_prefetch(&slots_[hashes[i] & (slots_.size() - 1)]);
    }
    for (size_t i = 0; i < texts.size(); ++i) __builtin_prefetch(slots_[hashes[i] & (slots_.size() - 1)].text.data());
    for (size_t i = 0; i < texts.size(); ++i) ids[i] = slots_[slot_of(texts[i], hashes[i])].id;
  }

 private:
  struct Slot {
    std::string_view text;
    uint32_t hash = 0;
    int32_t id = -1;
  };
  size_t slot_of(std::string_view text, uint32_t h) const noexcept {
    size_t at = h & (slots_.size() - 1);
    while (slots_[at].id >= 0 && (slots_[at].hash != h || slots_[at].text != text)) at = (at + 1) & (slots_.size() - 1);
    return at;
  }
  HashKey key_ = HashKey::get();
  std::vector<Slot> slots_;
};

/// Texts by id and ids by text, in two flat arrays: one look-up costs one or two cache lines.
class PieceTable {
 public:
  enum Wins { first, last };  ///< which one of equal texts is found, of those that are `preferred` if there are such

  explicit PieceTable(std::span<const std::string_view> texts, std::span<const uint8_t> preferred, Wins wins = first) {
    size_t bytes = 0;
    for (const std::string_view t : texts) bytes += t.size();
    bytes_.reserve(bytes);
    ends_.reserve(texts.size() + 1);
    ends_.push_back(0);
    for (const std::string_view t : texts) {
      bytes_ += t;
      ends_.push_back(bytes_.size());
    }
    size_t slots = 16;
    while (slots < texts.size() * 2) slots *= 2;
    slots_.assign(slots, Slot{0, -1});
    for (const bool wanted : {true, false})
      for (size_t id = 0; id < texts.size(); ++id)
        if (bool(preferred[id]) == wanted && !texts[id].empty()) insert(int32_t(id), wanted && wins == last);
  }

  int32_t size() const noexcept { return int32_t(ends_.size() - 1); }
  std::string_view text(int32_t id) const noexcept {
    return std::string_view(bytes_).substr(ends_[size_t(id)], ends_[size_t(id) + 1] - ends_[size_t(id)]);
  }
  std::string_view text_or_empty(int32_t id) const noexcept { return id >= 0 && id < size() ? text(id) : std::string_view(); }
  /// -1 where no piece has this text.
  int32_t find(std::string_view text) const noexcept { return slots_[slot_of(text, hash_text(text, key_))].id; }

 private:
  struct Slot {
    uint32_t hash;
    int32_t id;
  };

  size_t slot_of(std::string_view text, uint32_t h) const noexcept {
    size_t at = h & (slots_.size() - 1);
    while (slots_[at].id >= 0 && (slots_[at].hash != h || this->text(slots_[at].id) != text)) at = (at + 1) & (slots_.size() - 1);
    return at;
  }
  void insert(int32_t id, bool replace) {
    const uint32_t h = hash_text(text(id), key_);
    Slot& slot = slots_[slot_of(text(id), h)];
    if (slot.id < 0 || replace) slot = {h, id};
  }

  HashKey key_ = HashKey::get();
  std::string bytes_;
  std::vector<size_t> ends_;
  std::vector<Slot> slots_;
};

/// (left id, right id) -> what the two become, and how early. Sized once.
class PairTable {
 public:
  struct Entry {
    uint64_t key = ~uint64_t(0);
    uint32_t rank = ~uint32_t(0);
    int32_t result = -1;
  };

  explicit PairTable(size_t pairs = 0) {
    size_t slots = 16;
    while (slots < pairs * 2) slots *= 2;
    slots_.resize(slots);
  }
  /// Fetches what set of this pair will look at first.
  void fetch(int32_t left, int32_t right) const noexcept { __builtin_prefetch(&slots_[place(key_of(left, right))]); }
  /// The last entry of a pair wins.
  void set(int32_t left, int32_t right, uint32_t rank, int32_t result) {
    slot(key_of(left, right)) = {key_of(left, right), rank, result};
  }
  /// An entry with result -1 where the two do not merge.
  const Entry& find(int32_t left, int32_t right) const noexcept {
    return const_cast<PairTable*>(this)->slot(key_of(left, right));
  }

 private:
  static uint64_t key_of(int32_t left, int32_t right) noexcept { return uint64_t(uint32_t(left)) << 32 | uint32_t(right); }
  size_t place(uint64_t key) const noexcept { return fold(key ^ key_.first, key_.second) & (slots_.size() - 1); }
  Entry& slot(uint64_t key) noexcept {
    size_t at = place(key);
    while (slots_[at].result >= 0 && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
    return slots_[at];
  }
  HashKey key_ = HashKey::get();
  std::vector<Entry> slots_;
};

}  // namespace gale
