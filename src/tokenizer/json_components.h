#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "tokenizer/decoder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"

namespace gale {

/// Readers of the small parts of a tokenizer.json. Each takes the part's JSON (null where there is none) and throws
/// Error{corrupt} with a JSON pointer, or Error{unsupported} naming the component it does not know.
Normalizer parse_normalizer(const Json& json);
PreTokenizer parse_pre_tokenizer(const Json& json);
Decoder parse_decoder(const Json& json);

/// What is put before and after the ids of a text.
struct Surround {
  std::vector<TokenId> prefix, suffix;
};
/// `known(id)`: the vocabulary has this id.
Surround parse_post_processor(const Json& json, const std::function<bool(int64_t)>& known);

}  // namespace gale
