#pragma once
#include <nlohmann/json_fwd.hpp>

namespace gale {
using Json = nlohmann::ordered_json;
}
