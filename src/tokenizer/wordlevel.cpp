#include "tokenizer/wordlevel.h"

#include "base/fail.h"

namespace gale {

void WordLevel::encode(std::string_view word, ModelScratch&, TokenSink& out) const {
  const TokenId id = table_.find(word);
  require(id >= 0 || unk_ >= 0, ErrorCode::invalid_argument,
          "the tokenizer has no token for the word '{}' and no unknown token; leave it out", word.substr(0, 80));
  out.add(id >= 0 ? id : unk_, 0, word.size());
}

}  // namespace gale
