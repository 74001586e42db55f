#include "checkpoint/json_file.h"

#include "base/fail.h"
#include "base/file.h"
#include "base/json.h"
#include "base/parse_json.h"

namespace gale {

Json read_json(const std::filesystem::path& path) { return parse_json(read_text(path), path.string()); }

Json parse_json(std::string_view text, std::string_view name) {
  Json value = parse_json_text(text, name);
  require(value.is_object(), ErrorCode::corrupt, "{}: holds a JSON {}, expected an object", name, value.type_name());
  return value;
}

}  // namespace gale
