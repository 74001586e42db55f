#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "tokenizer/tokenizer.h"

// What the tests of this room share; included by *_test.cpp only.
namespace gale::tokenizer_test {

inline std::string read_test_data(const std::string& name) {
  return read_text(std::filesystem::path(GALE_SOURCE_DIR) / "src/tokenizer/testdata" / name);
}
inline Json test_json(const std::string& name) { return Json::parse(read_test_data(name)); }
inline std::unique_ptr<Tokenizer> test_tokenizer(const std::string& name) { return Tokenizer::from_json(read_test_data(name)); }

/// The named tokenizer with some of its top-level parts replaced.
inline std::string patched(const std::string& name, const Json& patch) {
  Json spec = test_json(name);
  for (const auto& [key, value] : patch.items()) spec[key] = value;
  return spec.dump();
}

inline std::vector<TokenId> ids_of(const Json& row, const char* key) { return row.at(key).get<std::vector<TokenId>>(); }

}  // namespace gale::tokenizer_test
