#include <cmath>

#include "chat/jinja/format.h"
#include "chat/jinja/operators.h"

namespace gale::jinja {
namespace {

const char* symbol(BinaryOp op) {
  static constexpr const char* symbols[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};
  return symbols[size_t(op)];
}

[[noreturn]] void raise_operands(BinaryOp op, const Value& a, const Value& b) {
  raise("unsupported operand type(s) for {}: '{}' and '{}'", symbol(op), a.type_name(), b.type_name());
}

int64_t floor_div(int64_t a, int64_t b) { return a / b - ((a % b != 0) && ((a < 0) != (b < 0))); }

double floor_mod(double a, double b) {
  double m = std::fmod(a, b);
  if (m != 0 && (m < 0) != (b < 0)) m += b;
  return m == 0 ? std::copysign(0.0, b) : m;
}

/// Python's float //: the quotient of a less its remainder, snapped to a whole number.
double floor_div(double a, double b) {
  const double q = (a - floor_mod(a, b)) / b;
  if (q == 0) return std::copysign(0.0, a / b);
  const double whole = std::floor(q);
  return q - whole > 0.5 ? whole + 1 : whole;
}

Value integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) raise("0.0 cannot be raised to a negative power");
    return std::pow(double(base), double(exponent));
  }
  int64_t out = 1;
  bool over = false;
  while (exponent > 0 && !over) {
    if (exponent & 1) over = __builtin_mul_overflow(out, base, &out);
    exponent >>= 1;
    if (exponent > 0 && !over && __builtin_mul_overflow(base, base, &base)) over = true;
  }
  if (over) raise("integer overflow in **: the result does not fit in 64 bits");
  return out;
}

Value integers(BinaryOp op, int64_t a, int64_t b) {
  int64_t out = 0;
  bool over = false;
  switch (op) {
    case BinaryOp::add:
      over = __builtin_add_overflow(a, b, &out);
      break;
    case BinaryOp::subtract:
      over = __builtin_sub_overflow(a, b, &out);
      break;
    case BinaryOp::multiply:
      over = __builtin_mul_overflow(a, b, &out);
      break;
    case BinaryOp::power:
      return integer_power(a, b);
    default:
      if (b == 0) raise("{}", op == BinaryOp::divide ? "division by zero" : "integer division or modulo by zero");
      if (op == BinaryOp::divide) return double((long double)(a) / (long double)(b));
      if (b == -1) {  // the one divisor that can overflow
        if (op == BinaryOp::modulo) return int64_t(0);
        over = __builtin_sub_overflow(int64_t(0), a, &out);
      } else {
        out = op == BinaryOp::modulo ? a - floor_div(a, b) * b : floor_div(a, b);
      }
  }
  if (over) raise("integer overflow in {}: the result does not fit in 64 bits", symbol(op));
  return out;
}

Value floats(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::add:
      return a + b;
    case BinaryOp::subtract:
      return a - b;
    case BinaryOp::multiply:
      return a * b;
    case BinaryOp::power:
      if (a == 0 && b < 0) raise("0.0 cannot be raised to a negative power");
      if (a < 0 && b != std::floor(b) && std::isfinite(b))
        raise("complex numbers are not supported: negative number to a fractional power");
      if (const double p = std::pow(a, b); !std::isinf(p) || std::isinf(a) || std::isinf(b)) return p;
      raise("float overflow in **");
    default:
      if (b == 0) raise("{}", op == BinaryOp::divide ? "float division by zero" : "float floor division or modulo by zero");
      return op == BinaryOp::divide ? a / b : op == BinaryOp::modulo ? floor_mod(a, b) : floor_div(a, b);
  }
}

Value repeat(Heap& heap, const Value& v, int64_t n) {
  if (const Str* s = v.str()) {
    TextBuilder out(heap);
    out.repeat(*s, n);
    return heap.text(out.take(s->markup));
  }
  const auto& items = v.seq()->items;
  std::vector<Value> out;
  if (n > 0 && !items.empty()) {
    heap.check_items(n);
    heap.check_items(n * int64_t(items.size()));
    for (int64_t i = 0; i < n; ++i) out.insert(out.end(), items.begin(), items.end());
  }
  return heap.list(std::move(out), v.seq()->kind);
}

bool repeatable(const Value& v) { return v.str() || (v.seq() && v.seq()->kind <= SeqKind::tuple); }

Value add(Heap& heap, const Value& a, const Value& b) {
  if (a.str() && b.str()) {
    const bool markup = a.str()->markup || b.str()->markup;
    heap.check_text(int64_t(a.str()->text.size() + b.str()->text.size()));
    TextBuilder out(heap);
    for (const Value* one : {&a, &b}) markup ? out.add(escape_html(heap, *one)) : out.add(*one->str());
    return heap.text(out.take(markup));
  }
  if (a.str()) raise("can only concatenate str (not \"{}\") to str", b.type_name());
  const bool same = a.seq() && b.seq() && a.seq()->kind == b.seq()->kind && a.seq()->kind <= SeqKind::tuple;
  if (!same) raise_operands(BinaryOp::add, a, b);
  std::vector<Value> out = a.seq()->items;
  out.insert(out.end(), b.seq()->items.begin(), b.seq()->items.end());
  return heap.list(std::move(out), a.seq()->kind);
}

}  // namespace

Value binary(Heap& heap, BinaryOp op, const Value& a, const Value& b) {
  if (op == BinaryOp::modulo && a.str()) return format_percent(heap, *a.str(), b);
  if (a.is_undefined()) a.raise_undefined();
  if (b.is_undefined()) b.raise_undefined();
  if (a.is_int() && b.is_int()) return integers(op, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return floats(op, a.number(), b.number());
  if (op == BinaryOp::add) return add(heap, a, b);
  if (op == BinaryOp::multiply && repeatable(a) && b.is_int()) return repeat(heap, a, b.integer());
  if (op == BinaryOp::multiply && repeatable(b) && a.is_int()) return repeat(heap, b, a.integer());
  raise_operands(op, a, b);
}

Value negate(const Value& v) {
  if (v.is_undefined()) v.raise_undefined();
  if (v.is_float()) return -v.number();
  if (!v.is_int()) raise("bad operand type for unary -: '{}'", v.type_name());
  int64_t out;
  if (__builtin_sub_overflow(int64_t(0), v.integer(), &out)) raise("integer overflow in unary -");
  return out;
}

Value positive(const Value& v) {
  if (v.is_undefined()) v.raise_undefined();
  if (v.is_float()) return v;
  if (!v.is_int()) raise("bad operand type for unary +: '{}'", v.type_name());
  return v.integer();
}

}  // namespace gale::jinja
