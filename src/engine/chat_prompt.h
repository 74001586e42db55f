#pragma once
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace gale {

/// A conversation as text and as the ids the model is given.
struct ChatPrompt {
  std::string text;
  std::vector<TokenId> tokens;
};

/// Renders and encodes. Special tokens in the template's own text and in the assistant's turns are special tokens; in all other
/// messages they are the characters they are written with. Throws what ChatTemplate::render throws.
ChatPrompt chat_prompt(const ChatTemplate& chat_template, const Tokenizer& tokenizer, const ChatInput& input);

}  // namespace gale
