#pragma once
#include <cstdint>
#include <string>

namespace gale::cli {

/// A bar on stderr while something long runs; silent where stderr is no terminal. Erased when it goes.
class Progress {
 public:
  /// What is counted, as its line has it.
  enum class Unit { bytes, windows };
  explicit Progress(std::string label, Unit unit = Unit::bytes);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// So many done of a total; may be called as often as one likes.
  void update(int64_t done, int64_t total);

 private:
  std::string label_;
  Unit unit_;
  bool terminal_, drawn_ = false;
  double started_, last_;
};

}  // namespace gale::cli
