#include "tokenizer/model.h"

#include "base/fail.h"

namespace gale {

void ModelScratch::too_many_steps() {
  fail(ErrorCode::invalid_argument,
       "the text is almost that of very long tokens of the vocabulary, over and over, and takes too many steps to cut up; "
       "shorten it");
}

}  // namespace gale
