#include "speculation/depth.h"

#include <algorithm>
#include <cmath>

namespace gale {
namespace {

constexpr double kMemory = 0.98;    // of a step's weight, a step later
constexpr double kUsualRow = 0.12;  // of a step of one row, until steps of other sizes were seen
constexpr double kTrust = 0.5;      // rows squared: how much they must differ to be believed
constexpr double kFading = 0.9;     // of what became of a draft, a draft later
constexpr double kHopeless = 0.8;   // not even a sure token would be worth much more

}  // namespace

// Least squares, drawn towards the usual slope where the steps tell too little.
void StepCost::took(double rows, double seconds) {
  if (rows <= 0 || seconds <= 0) return;
  weight_ = kMemory * weight_ + 1;
  rows_ = kMemory * rows_ + rows;
  seconds_ = kMemory * seconds_ + seconds;
  squares_ = kMemory * squares_ + rows * rows;
  products_ = kMemory * products_ + rows * seconds;
  const double x = rows_ / weight_, y = seconds_ / weight_;
  const double variance = std::max(squares_ / weight_ - x * x, 0.0), covariance = products_ / weight_ - x * y;
  const double usual = y * kUsualRow / (1 + kUsualRow * (x - 1));
  row_ = std::clamp((covariance + kTrust * usual) / (variance + kTrust), 0.0, y / x);
  fixed_ = y - row_ * x;
}

void DraftDepth::took(int32_t drafted, int32_t accepted) {
  right_ = kFading * right_ + accepted;
  wrong_ = kFading * wrong_ + (accepted < drafted ? 1 : 0);
  if (accepted > 0)
    pause_ = kShortestPause;
  else if (wants_trial())
    pause_ = std::min(2 * pause_, kLongestPause);
  idle_ = 0;
}

double DraftDepth::chance() const { return right_ / (right_ + wrong_); }

void choose_depths(std::span<DepthChoice> texts, const StepCost& cost, double rows, double tokens, int64_t room,
                   double draft_seconds) {
  const double row = cost.row() + draft_seconds;
  double seconds = cost.step(rows);
  bool more = true;
  for (int32_t depth = 1; more && room > 0; ++depth) {  // the first row for all, then the second ...
    more = false;
    for (DepthChoice& text : texts) {
      if (text.chosen + 1 != depth || depth > text.most || room <= 0) continue;
      const double gain = std::pow(text.depth->chance(), depth), price = seconds > 0 ? tokens * row / seconds : 0;
      const bool trial = depth == 1 && price < kHopeless && text.depth->wants_trial();
      if (depth > text.least && gain < price && !trial) continue;
      text.chosen = depth;
      --room;
      tokens += gain;
      seconds += row;
      more = true;
    }
  }
}

}  // namespace gale
