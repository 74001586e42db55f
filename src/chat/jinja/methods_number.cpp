// Methods of int, bool and float.
#include <bit>
#include <cmath>

#include "chat/jinja/filters.h"

namespace gale::jinja {
namespace {

uint64_t size_of(const Value& v) {
  const int64_t n = v.integer();
  return n < 0 ? 0 - uint64_t(n) : uint64_t(n);
}

Value conjugate(Interpreter&, const Value& self, const Args& args) {
  const Bound none("conjugate", args, {});
  return self.is_float() ? self : Value(self.integer());
}

Value bit_length(Interpreter&, const Value& self, const Args& args) {
  const Bound none("bit_length", args, {});
  return int64_t(std::bit_width(size_of(self)));
}

Value bit_count(Interpreter&, const Value& self, const Args& args) {
  const Bound none("bit_count", args, {});
  return int64_t(std::popcount(size_of(self)));
}

Value is_integer(Interpreter&, const Value& self, const Args& args) {
  const Bound none("is_integer", args, {});
  return std::isfinite(self.number()) && self.number() == std::floor(self.number());
}

/// The fraction in lowest terms that a float is.
Value as_ratio(Interpreter& in, const Value& self, const Args& args) {
  const Bound none("as_integer_ratio", args, {});
  if (self.is_int()) return in.heap.tuple({Value(self.integer()), Value(1)});
  if (!std::isfinite(self.number())) raise("cannot convert {} to an integer ratio", self.number());
  int exponent = 0;
  double digits = std::frexp(self.number(), &exponent);
  for (int i = 0; i < 60 && digits != std::floor(digits); ++i) digits *= 2, --exponent;
  const bool fits = std::abs(exponent) < 62 && std::abs(std::ldexp(digits, std::max(exponent, 0))) < 9.2e18;
  if (!fits) raise("as_integer_ratio: the numbers of {} do not fit in 64 bits", self.number());
  return in.heap.tuple({Value(int64_t(std::ldexp(digits, std::max(exponent, 0)))), Value(int64_t(1) << std::max(-exponent, 0))});
}

Value hex(Interpreter& in, const Value& self, const Args& args) {
  const Bound none("hex", args, {});
  const double v = self.number();
  if (!std::isfinite(v)) return in.heap.text(std::isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
  const std::string sign = std::signbit(v) ? "-" : "";
  if (v == 0) return in.heap.text(sign + "0x0.0p+0");
  const uint64_t bits = std::bit_cast<uint64_t>(v);
  const uint64_t exponent = bits >> 52 & 0x7ff;
  return in.heap.text(
      fmt::format("{}0x{}.{:013x}p{:+d}", sign, exponent ? 1 : 0, bits & 0xfffffffffffff, int(exponent ? exponent : 1) - 1023));
}

}  // namespace

Method find_number_method(const Value& v, std::string_view name) {
  if (name == "conjugate") return conjugate;
  if (name == "as_integer_ratio") return as_ratio;
  if (v.is_float()) return name == "is_integer" ? is_integer : name == "hex" ? hex : nullptr;
  return name == "bit_length" ? bit_length : name == "bit_count" ? bit_count : nullptr;
}

}  // namespace gale::jinja
