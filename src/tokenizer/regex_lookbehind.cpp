#include "tokenizer/regex_lookbehind.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "tokenizer/utf8.h"

namespace gale {
namespace {

constexpr size_t kMostVariants = 512, kMostBytes = size_t(1) << 15;
constexpr int kMostGroups = 32;
constexpr size_t kNoLimit = SIZE_MAX;

// One way to match, and how many characters it takes.
struct Variant {
  std::string text;
  size_t length = 0;
};
using Variants = std::vector<Variant>;

class Expander {
 public:
  explicit Expander(std::string_view in) : in_(in) {}

  std::optional<std::string> run() {
    const Variants all = alternatives(true, 0);
    if (failed_ || at_ < in_.size()) return std::nullopt;
    std::string out;
    for (const Variant& v : all) (out += out.empty() && &v == all.data() ? "" : "|") += v.text;
    return out;
  }

 private:
  Variants refuse() {
    failed_ = true;
    at_ = in_.size();
    return {};
  }

  // Up to the ')' of the group around them. `first`: nothing stands before them.
  Variants alternatives(bool first, int depth) {
    if (depth > kMostGroups) return refuse();
    Variants out;
    do {
      if (!out.empty()) ++at_;
      for (Variant& v : sequence(first, depth)) out.push_back(std::move(v));
      if (out.size() > kMostVariants) return refuse();
    } while (!failed_ && at_ < in_.size() && in_[at_] == '|');
    return out;
  }

  Variants sequence(bool first, int depth) {
    Variants out{{}};
    while (!failed_ && at_ < in_.size() && in_[at_] != '|' && in_[at_] != ')') {
      const Variants parts = repeated(atom(first, depth), first);
      first = false;
      out = joined(out, parts);
    }
    return out;
  }

  Variants joined(const Variants& left, const Variants& right) {
    if (left.size() * right.size() > kMostVariants) return refuse();
    Variants out;
    size_t bytes = 0;
    for (const Variant& l : left)
      for (const Variant& r : right) {
        out.push_back({l.text + r.text, l.length + r.length});
        bytes += out.back().text.size();
      }
    return bytes > kMostBytes ? refuse() : out;
  }

  // Reads the quantifier at at_, if there is one; says whether it is possessive.
  bool quantifier(size_t& least, size_t& most) {
    least = most = 1;
    if (at_ >= in_.size()) return false;
    const char c = in_[at_];
    if (c == '*' || c == '+' || c == '?') {
      least = c == '+';
      most = c == '?' ? 1 : kNoLimit;
      ++at_;
    } else if (const size_t end = c == '{' ? in_.find('}', at_) : in_.npos; end != in_.npos) {
      const std::string_view inner = in_.substr(at_ + 1, end - at_ - 1);
      const size_t comma = inner.find(',');
      const auto number = [&](std::string_view digits, size_t otherwise) {
        size_t value = otherwise;
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return value;
      };
      least = number(inner.substr(0, comma), 0);
      most = comma == inner.npos ? least : number(inner.substr(comma + 1), kNoLimit);
      at_ = end + 1;
    } else {
      return false;
    }
    const char mark = at_ < in_.size() ? in_[at_] : '\0';
    if (mark == '?' || mark == '+') ++at_;
    return mark == '+';
  }

  Variants repeated(const Variants& one, bool first) {
    size_t least, most;
    const bool possessive = quantifier(least, most);
    if (first) most = least;
    if (most == kNoLimit || (possessive && !first) || most > kMostVariants || least > most) return refuse();
    Variants out, power{{}};
    for (size_t n = 0; n <= most && !failed_; ++n) {
      if (n > 0) power = joined(power, one);
      if (n >= least) out.insert(out.end(), power.begin(), power.end());
    }
    return out.size() > kMostVariants ? refuse() : out;
  }

  Variants taken(size_t bytes, size_t length) {
    bytes = std::min(bytes, in_.size() - at_);
    at_ += bytes;
    return {{std::string(in_.substr(at_ - bytes, bytes)), length}};
  }

  // Behind the bracket that ends what begins at at_.
  size_t end_of_group() const {
    size_t depth = 0;
    for (size_t at = at_; at < in_.size(); ++at) {
      if (in_[at] == '\\') {
        ++at;
      } else if (in_[at] == '[') {
        at = end_of_class(at) - 1;
      } else if (in_[at] == '(') {
        ++depth;
      } else if (in_[at] == ')' && --depth == 0) {
        return at + 1;
      }
    }
    return in_.size();
  }
  size_t end_of_class(size_t at) const {
    for (++at; at < in_.size() && in_[at] != ']'; ++at) at += in_[at] == '\\';
    return std::min(at + 1, in_.size());
  }

  Variants group(bool first, int depth) {
    const std::string_view rest = in_.substr(at_);
    for (const std::string_view look : {"(?=", "(?!", "(?<=", "(?<!"})
      if (rest.starts_with(look)) return taken(end_of_group() - at_, 0);
    std::string opening = "(?:";
    size_t length = 1;
    if (rest.starts_with("(?")) {
      length = rest.find(':') + 1;  // 0 where there is none
      opening = rest.substr(0, length);
      if (length == 0 || opening.find_first_not_of("imsx-", 2) != length - 1) return refuse();
    }
    const size_t end = end_of_group();
    const bool repeats = end < in_.size() && std::string_view("*+?{").find(in_[end]) != std::string_view::npos;
    at_ += length;
    Variants out = alternatives(first && !repeats, depth + 1);
    if (failed_ || at_ >= in_.size()) return refuse();
    ++at_;
    for (Variant& v : out) v.text = opening + v.text + ")";
    return out;
  }

  Variants escaped() {
    const std::string_view rest = in_.substr(at_);
    const char c = rest.size() > 1 ? rest[1] : '\0';
    // \R behind is the reference's own matter: it finds no single line end there.
    if (c == 'R' || c == '\0' || c == 'g' || c == 'k' || c == 'K' || (c >= '0' && c <= '9')) return refuse();
    if (std::string_view("AzZG").find(c) != std::string_view::npos) return taken(2, 0);
    const bool named = rest.size() > 2 && rest[2] == '{' && std::string_view("xpPo").find(c) != std::string_view::npos;
    if (named) return taken(rest.find('}') + 1, 1);
    return taken(c == 'c' ? 3 : 1 + utf8_length(c), 1);
  }

  Variants atom(bool first, int depth) {
    switch (in_[at_]) {
      case '(':
        return group(first, depth);
      case '[':
        return taken(end_of_class(at_) - at_, 1);
      case '\\':
        return escaped();
      case '^':
      case '$':
        return taken(1, 0);
      default:
        return taken(utf8_length(in_[at_]), 1);
    }
  }

  std::string_view in_;
  size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace

std::optional<std::string> fixed_alternatives(std::string_view body) { return Expander(body).run(); }

}  // namespace gale
