#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "tokenizer/decoder.h"
#include "tokenizer/encoding.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pre_tokenizer.h"

namespace gale {

/// Readers of the small parts of a tokenizer.json. Each takes the part's JSON (null where there is none) and throws
/// Error{corrupt} with a JSON pointer, or Error{unsupported} naming the component it does not know.
Normalizer parse_normalizer(const Json& json);
/// `bytes`: the model works on bytes where a ByteLevel says so.
PreTokenizer parse_pre_tokenizer(const Json& json, bool bytes);
Decoder parse_decoder(const Json& json);
PostProcessor parse_post_processor(const Json& json);
std::optional<Truncation> parse_truncation(const Json& json);
std::optional<Padding> parse_padding(const Json& json);

}  // namespace gale
