#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kvcache/block_names.h"
#include "tensor/tensor.h"

namespace gale {

/// A text that wants to know how it may go on.
struct DraftTask {
  uint64_t id;                            ///< the same for a text as long as it runs
  std::span<const int32_t> tokens;        ///< all of it so far
  int32_t least = 0, most = 0;            ///< tokens to propose: at least 1 at most; `least` also where they are hardly right
  std::vector<int32_t>* draft = nullptr;  ///< where they go; empty before
  BlockName root = {};                    ///< texts with different ones never share what was computed for them
};

/// Rows of one text in a step of the target: those of slots [slot, slot + count).
struct SeenRows {
  uint64_t id;
  int32_t row, count;  ///< of the step's rows
  int64_t slot;
};

/// Proposes tokens that the model then chooses for itself, several in one step where the proposal was right. A wrong one, a
/// nonsensical one or none costs time and changes nothing else: the target's own choice at each position is what counts. Runs on
/// the engine's thread, between steps; belongs to it.
class Drafter {
 public:
  virtual ~Drafter() = default;
  /// Appends to each draft up to `most` tokens. Of a text only its end changes between calls, and only by growing. Bounded work:
  /// everybody waits for it. Where it throws, the texts of the call go on without drafts.
  virtual void propose(std::span<const DraftTask> tasks) = 0;
  /// Layers of the target whose rows it works from, ascending: heads that were trained on them (Medusa, EAGLE, MTP). The same
  /// each time it is asked.
  virtual std::vector<int32_t> taps() const { return {}; }
  /// Where taps() says some: what a step computed, `rows` f32 [rows, hidden] after each of these layers, good during the call.
  /// Before the step's choices are known: slots that hold wrong drafts are written again, the next propose() tells by its tokens.
  /// Slots that a text takes over from another are never seen. Where it throws, there are no more drafts for anybody.
  virtual void saw(std::span<const SeenRows> texts, std::span<const Tensor> rows) { (void)texts, (void)rows; }
  /// The text has ended. Also of texts that were never asked about; must not throw.
  virtual void forget(uint64_t id) = 0;
};

}  // namespace gale
