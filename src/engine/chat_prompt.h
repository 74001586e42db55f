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

/// Renders and encodes. Special tokens of the template's own text are special tokens; in messages and tools they are the
/// characters they are written with, and so are, but in an assistant's turn, all markers that the template names. Throws what
/// ChatTemplate::render throws, and Error{invalid_argument} for messages or tools nested more than 100 levels deep.
ChatPrompt chat_prompt(const ChatTemplate& chat_template, const Tokenizer& tokenizer, const ChatInput& input);

}  // namespace gale
