#pragma once
#include "base/json_fwd.h"
#include "chat/jinja/heap.h"

namespace gale::jinja {

/// The value a template sees for a piece of JSON, whose texts and names are `who`'s. Raises for depth over the bound and integers
/// over 63 bits.
Value from_json(Heap& heap, const Json& json, Author who);

/// Python's json.dumps, as the tojson filter of transformers calls it.
struct DumpOptions {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<Str> indent;  ///< text of one level; none: one line
  Str item_separator = {", "};
  Str key_separator = {": "};
};
Str dump_json(Heap& heap, const Value& v, const DumpOptions& options);

}  // namespace gale::jinja
