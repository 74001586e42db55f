#pragma once
#include "chat/jinja/heap.h"

namespace gale::jinja {

/// text % values, as Python does it: %s %r %a %d %i %u %f %e %g %x %o %c %%, flags, width, precision, %(name)s.
Value format_percent(Heap& heap, const Str& text, const Value& values);

/// How str.format reaches into an argument: `.name` and `[key]`.
using Lookup = Value (*)(Interpreter& in, const Value& v, const Value& key, bool is_attribute);
/// text.format(*args): {} {0} {name} {0.attribute} {0[key]} {!r} and the usual format specifications.
Value format_braces(Heap& heap, Interpreter& in, Lookup lookup, const Str& text, const Args& args);

}  // namespace gale::jinja
