#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "batch/batch.h"
#include "kvcache/block_names.h"
#include "sampling/sampler.h"

namespace gale {

/// A text in the making: its tokens, and how many of them the cache has. Belongs to the engine thread once submitted.
struct Sequence {
  Sequence(uint64_t own_id, std::vector<int32_t> prompt_tokens, SamplerChain sampler_chain)
      : id(own_id), prompt(int64_t(prompt_tokens.size())), tokens(std::move(prompt_tokens)), sampler(std::move(sampler_chain)) {}

  uint64_t id;
  int64_t prompt;               ///< tokens of the prompt, the first of `tokens`
  std::vector<int32_t> tokens;  ///< the prompt, then what was generated
  std::vector<int32_t> draft;   ///< what may come next: where the text decodes and there is room, rows of these come along
  SamplerChain sampler;
  bool all_rows = false;    ///< every row of the prompt is wanted, not only the last: none is taken from other texts
  bool background = false;  ///< gives way to those that are not
  int32_t places = 1;       ///< texts that it may become by Scheduler::fork(), all of which run or wait for each other
  bool resting = false;     ///< waits for others of these: it has no next token to run before Scheduler::go_on()
  BlockName root;           ///< texts share keys and values only where their roots are the same

  int64_t dropped_prompt = 0, forgotten = 0;  ///< tokens of the prompt and of the answer that are not in the text any more

  // The scheduler's own notes.
  std::vector<BlockName> names;  ///< of the whole blocks of `tokens`, as far as they were needed
  uint64_t arrival = 0;
  TrackId track = -1;    ///< -1 while it waits
  int64_t computed = 0;  ///< tokens whose rows are in the cache
  int64_t found = 0;     ///< tokens that others had computed, before it first gave its blocks back
  int32_t preemptions = 0;
  bool restoring = false;  ///< waits for what a store on disk has of it

  int64_t remaining() const { return int64_t(tokens.size()) - computed; }
  int64_t generated() const { return int64_t(tokens.size()) - prompt + forgotten; }
  int64_t dropped() const { return dropped_prompt + forgotten; }
  /// Takes tokens [begin, begin + count) out of the text. REQUIRES: no scheduler has it.
  void drop(int64_t begin, int64_t count) {
    const int64_t of_prompt = std::clamp<int64_t>(prompt - begin, 0, count);
    tokens.erase(tokens.begin() + begin, tokens.begin() + begin + count);
    prompt -= of_prompt;
    dropped_prompt += of_prompt;
    forgotten += count - of_prompt;
    names.clear();
  }
  /// One row, the next token's, is missing.
  bool decoding() const { return computed > 0 && remaining() == 1; }
};

}  // namespace gale
