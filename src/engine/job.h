#pragma once
#include <algorithm>
#include <future>
#include <memory>
#include <vector>

#include "engine/event_queue.h"
#include "gale/request.h"
#include "sampling/beam_search.h"
#include "scheduler/sequence.h"
#include "speculation/depth.h"

namespace gale {

class Beams;

/// A request inside the engine: its sequence, when it ends, and where its results go. Made by the submitting thread, then the
/// engine thread's alone.
struct Job : Sequence {
  using Sequence::Sequence;

  uint64_t request = 0;  ///< the id its stream is cancelled by, shared by all choices
  int32_t choice = 0;
  int64_t max_tokens = -1;          ///< -1: until the context is full
  std::vector<int32_t> end_tokens;  ///< ids that end it, the model's own among them unless they are ignored
  uint64_t seed = 0;
  int32_t logprobs = -1, prompt_logprobs = -1;
  bool include_stop = false;
  Overflow overflow = Overflow::error;
  int64_t keep = 0;
  int32_t stop_token = -1;                ///< what ended it
  std::vector<TokenEvent> prompt_tokens;  ///< where prompt_logprobs: of all but the first; empty once they are sent
  std::shared_ptr<EventQueue> events;     ///< null: the logits of the prompt are the result
  std::vector<float> rows;
  std::promise<std::vector<float>> logits;

  int32_t draft_max = 0, draft_min = 0;  ///< tokens to draft at once
  DraftDepth depth;
  int64_t drafted = 0, accepted = 0;

  Beams* search = nullptr;             ///< that it is a text of
  std::shared_ptr<Beams> owns_search;  ///< of the first of these alone
  BeamSearch::Row row;                 ///< what may come next in it

  int64_t queued = 0;                                  ///< tokens it is counted for among those that wait
  double deadline = 0;                                 ///< by now_seconds(), 0: none
  double submitted = 0, started = 0, first_token = 0;  ///< by now_seconds(), 0: not yet

  bool wants_logits() const { return events == nullptr; }
  bool ends_at(int32_t token) const { return std::find(end_tokens.begin(), end_tokens.end(), token) != end_tokens.end(); }
};

}  // namespace gale
