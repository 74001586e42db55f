#pragma once
#include <cstdint>
#include <span>

namespace gale {

/// How long steps take by their rows, a line through the steps there were: what one more row costs beside others.
class StepCost {
 public:
  /// A step of so many rows took so long. Old steps count less and less.
  void took(double rows, double seconds);
  /// Seconds of a step, and of one more row in it; 0 before the first step.
  double step(double rows) const { return fixed_ + row_ * rows; }
  double row() const { return row_; }

 private:
  double weight_ = 0, rows_ = 0, seconds_ = 0, squares_ = 0, products_ = 0;  // weighted sums
  double fixed_ = 0, row_ = 0;
};

/// How many tokens to draft for one text, learned from what became of its drafts.
class DraftDepth {
 public:
  /// Of `drafted` tokens the first `accepted` were right.
  void took(int32_t drafted, int32_t accepted);
  /// A step passed without a draft.
  void idle() { ++idle_; }
  /// How likely the next drafted token is right, where those before it were.
  double chance() const;
  /// Time to see whether things have changed, though drafts were not worth it lately.
  bool wants_trial() const { return idle_ >= pause_; }

 private:
  static constexpr int32_t kShortestPause = 8, kLongestPause = 256;
  double right_ = 1, wrong_ = 0.5;  // tokens, a guess at first; what is old fades
  int32_t idle_ = 0, pause_ = kShortestPause;
};

/// A text that could have a draft in the next step.
struct DepthChoice {
  const DraftDepth* depth = nullptr;
  int32_t least = 0, most = 0;  ///< tokens, whatever they cost
  int32_t chosen = 0;           ///< filled
};

/// Depths that give the most tokens a second: another row goes to a text as long as the token it may bring is likelier than the
/// share of one that the same time brings otherwise. The more rows a step has anyway, the larger that share.
/// `rows` the step has without drafts, `tokens` it gives, `room`: further rows it may have, `draft_seconds`: what drafting
/// one token takes.
void choose_depths(std::span<DepthChoice> texts, const StepCost& cost, double rows, double tokens, int64_t room,
                   double draft_seconds);

}  // namespace gale
