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
  if (uniform()) runs_.push_back({uint32_t(from), one_});
  runs_.push_back({uint32_t(end), who});
  one_ = Author::source;
}

}  // namespace gale
