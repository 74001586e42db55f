#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace gale {

/// A text that wants to know how it may go on.
struct DraftTask {
  uint64_t id;                            ///< the same for a text as long as it runs
  std::span<const int32_t> tokens;        ///< all of it so far
  int32_t most = 0;                       ///< tokens to propose, at least 1
  std::vector<int32_t>* draft = nullptr;  ///< where they go; empty before
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
  /// The text has ended. Also of texts that were never asked about; must not throw.
  virtual void forget(uint64_t id) = 0;
};

}  // namespace gale
