#pragma once
#include <cstdint>
#include <string>

namespace gale::cli {

/// A bar on stderr while something long runs; silent where stderr is no terminal. Erased when it goes.
class Progress {
 public:
  explicit Progress(std::string label);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Bytes done of a total; may be called as often as one likes.
  void update(int64_t done, int64_t total);

 private:
  std::string label_;
  bool terminal_, drawn_ = false;
  double started_, last_;
};

}  // namespace gale::cli
