#pragma once
#include <unordered_map>

#include "speculation/drafter.h"

namespace gale {

/// Where the end of a text stood in it before. Follows a text that grows: a token costs O(1), however long the text is.
class NgramIndex {
 public:
  static constexpr size_t kLeast = 3;    ///< tokens that must agree: fewer agree by chance
  static constexpr size_t kEnough = 32;  ///< and no more are compared
  static constexpr size_t kTried = 64;   ///< places looked at, the latest first

  /// Takes in what `tokens` has more than at the last call.
  void extend(std::span<const int32_t> tokens);
  /// The place behind the longest of these places, the latest of equals: what stands there may come next. 0 for none.
  /// REQUIRES: extend(tokens) came before.
  size_t find(std::span<const int32_t> tokens) const;

 private:
  size_t bucket(const int32_t* end) const;
  void insert(std::span<const int32_t> tokens, size_t end);
  void grow(std::span<const int32_t> tokens);

  std::vector<int32_t> latest_;  // by bucket of the last kLeast tokens: the latest place behind such; 0 for none
  std::vector<int32_t> before_;  // by place: the one before it in its bucket
  size_t known_ = 0;             // tokens taken in
};

/// Prompt lookup (Saxena, 2023; the n-gram speculation of vLLM and llama.cpp): what followed the longest end of the text where it
/// stood before. Costs next to nothing, and is right wherever a text quotes: code that is edited, documents that are
/// summed up, structures that repeat.
class NgramDrafter final : public Drafter {
 public:
  void propose(std::span<const DraftTask> tasks) override;
  void forget(uint64_t id) override { texts_.erase(id); }

 private:
  std::unordered_map<uint64_t, NgramIndex> texts_;
};

}  // namespace gale
