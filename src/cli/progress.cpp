#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/clock.h"
#include "cli/console.h"

namespace gale::cli {
namespace {
constexpr int kWidth = 30;
constexpr double kQuiet = 0.3;  // what is faster needs no bar
constexpr double kRedraw = 0.05;
}  // namespace

Progress::Progress(std::string label, Unit unit)
    : label_(std::move(label)), unit_(unit), terminal_(stderr_is_terminal()), started_(now_seconds()), last_(0) {}

Progress::~Progress() {
  if (drawn_) std::fputs("\r\033[K", stderr);
}

void Progress::update(int64_t done, int64_t total) {
  const double now = now_seconds();
  if (!terminal_ || total <= 0 || now - started_ < kQuiet || now - last_ < kRedraw) return;
  last_ = now;
  const double share = std::clamp(double(done) / double(total), 0.0, 1.0);
  const int full = int(share * kWidth);
  const double speed = double(done) / (now - started_);
  const std::string of = unit_ == Unit::bytes ? fmt::format("{}, {}/s", size_text(total), size_text(int64_t(speed)))
                                              : fmt::format("{} windows, {:.1f}/s", total, speed);
  const std::string line = fmt::format("\r\033[K{} [{}{}] {:3.0f} % of {}", label_, std::string(size_t(full), '='),
                                       std::string(size_t(kWidth - full), ' '), share * 100, of);
  std::fputs(line.c_str(), stderr);
  drawn_ = true;
}

}  // namespace gale::cli
