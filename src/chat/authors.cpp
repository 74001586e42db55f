#include "chat/authors.h"

namespace gale {

Author Authors::least(size_t begin, size_t end) const {
  Author out = Author::source;
  each(begin, end, [&](size_t, size_t, Author who) { out = std::max(out, who); });
  return out;
}

Author Authors::least() const {
  Author out = one_;
  for (const Run& run : runs_) out = std::max(out, run.who);
  return out;
}

Authors Authors::part(size_t begin, size_t end) const {
  if (begin >= end) return {};
  Authors out(at(begin));
  if (!uniform()) out.append(0, *this, begin, end);
  return out;
}

void Authors::change(size_t from, size_t end, Author who) {
  constexpr size_t kFew = 8;
  if (uniform()) {
    runs_.reserve(kFew);
    runs_.push_back({uint32_t(from), one_});
  }
  runs_.push_back({uint32_t(end), who});
  one_ = Author::source;
}

// Runs that follow one another differ: only the first and the second may have to be joined to what is here.
void Authors::append_runs(size_t size, const Authors& from, size_t begin, size_t end) {
  auto run = from.find(begin);
  for (int joined = 0; joined < 2 && begin < end; ++joined, ++run) {
    const size_t to = std::min<size_t>(run->end, end);
    append(size, to - begin, run->who);
    size += to - begin;
    begin = to;
  }
  for (; begin < end; ++run) {
    const size_t to = std::min<size_t>(run->end, end);
    size += to - begin;
    runs_.push_back({uint32_t(size), run->who});
    begin = to;
  }
}

}  // namespace gale
