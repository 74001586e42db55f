#pragma once
#include <string_view>

#include "base/json_fwd.h"

namespace gale {

/// Whether the value of this key is kept. `level`: 1 in the outermost object.
using WantedKey = bool (*)(int level, std::string_view key);

/// JSON that somebody else wrote, of any type. Throws Error{corrupt}: `where`, line, column and reason. Refused are also nesting
/// deeper than `most_levels`, since JSON values are copied, printed and destroyed recursively, and objects of more than 32768
/// keys, since each is compared with all before it. `wanted`: null keeps all keys; what is not kept counts for neither cost.
Json parse_json_text(std::string_view text, std::string_view where, int most_levels = 64, WantedKey wanted = nullptr);

}  // namespace gale
