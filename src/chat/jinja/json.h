#pragma once
#include "base/json_fwd.h"
#include "chat/jinja/heap.h"

namespace gale::jinja {

/// The value a template sees for a piece of JSON. Raises for depth over the bound and integers over 63 bits.
Value from_json(Heap& heap, const Json& json);

/// Python's json.dumps, as the tojson filter of transformers calls it.
struct DumpOptions {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  ///< text of one level; none: one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
std::string dump_json(Heap& heap, const Value& v, const DumpOptions& options);

}  // namespace gale::jinja
