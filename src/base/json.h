#pragma once
#include <nlohmann/json.hpp>

namespace gale {

/// JSON for configs, requests and reports: keeps the order of keys, so that what is written reads like what was read. Readers of
/// large files (tokenizer.json, safetensors headers) use simdjson inside one .cpp instead. Headers that only pass JSON along
/// include base/json_fwd.h.
using Json = nlohmann::ordered_json;

}  // namespace gale
