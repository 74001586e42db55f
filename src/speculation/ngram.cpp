#include "speculation/ngram.h"

#include <algorithm>

namespace gale {
namespace {

// Tokens before `a` and before `b` that are the same.
size_t common_end(std::span<const int32_t> tokens, size_t a, size_t b) {
  const size_t most = std::min({a, b, NgramIndex::kEnough});
  size_t n = 0;
  while (n < most && tokens[a - 1 - n] == tokens[b - 1 - n]) ++n;
  return n;
}

}  // namespace

size_t NgramIndex::bucket(const int32_t* end) const {
  uint64_t hash = 0;
  for (size_t i = 1; i <= kLeast; ++i) hash = (hash ^ uint64_t(uint32_t(end[-ptrdiff_t(i)]))) * 0x9e3779b97f4a7c15ull;
  return size_t(hash >> 32) & (latest_.size() - 1);
}

void NgramIndex::insert(std::span<const int32_t> tokens, size_t end) {
  int32_t& latest = latest_[bucket(tokens.data() + end)];
  before_[end] = latest;
  latest = int32_t(end);
}

void NgramIndex::grow(std::span<const int32_t> tokens) {
  latest_.assign(std::max<size_t>(latest_.size() * 4, 256), 0);
  while (latest_.size() < tokens.size() * 2) latest_.resize(latest_.size() * 2);
  for (size_t end = kLeast; end < known_; ++end) insert(tokens, end);
}

// A place is taken in once something stands behind it: the end of the text is what is looked for.
void NgramIndex::extend(std::span<const int32_t> tokens) {
  before_.resize(tokens.size());
  if (latest_.size() < tokens.size()) grow(tokens);
  for (size_t end = std::max(known_, kLeast); end < tokens.size(); ++end) insert(tokens, end);
  known_ = tokens.size();
}

size_t NgramIndex::find(std::span<const int32_t> tokens) const {
  if (tokens.size() <= kLeast) return 0;
  size_t best = 0, longest = kLeast - 1;
  int32_t place = latest_[bucket(tokens.data() + tokens.size())];
  for (size_t tried = 0; place > 0 && tried < kTried && longest < kEnough; ++tried, place = before_[size_t(place)])
    if (const size_t length = common_end(tokens, size_t(place), tokens.size()); length > longest)
      best = size_t(place), longest = length;
  return best;
}

// Where the place is near the end the draft goes on with what it began with: a text that has gone in circles may do so again.
void NgramDrafter::propose(std::span<const DraftTask> tasks) {
  for (const DraftTask& task : tasks) {
    NgramIndex& index = texts_[task.id];
    index.extend(task.tokens);
    const size_t place = index.find(task.tokens), size = task.tokens.size();
    if (place == 0) continue;
    std::vector<int32_t>& draft = *task.draft;
    for (size_t at = place; draft.size() < size_t(task.most); ++at)
      draft.push_back(at < size ? task.tokens[at] : draft[at - size]);
  }
}

}  // namespace gale
