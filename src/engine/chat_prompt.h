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

/// Whether a conversation is first fitted to what the template can do (chat/polyfill.h), or goes to it as it is.
enum class Fit { yes, no };

/// Renders and encodes. Special tokens of the template's own text are special tokens; with one character of messages, tools or
/// further variables in them they are the characters they are written with, and so are, but in an assistant's turn, all markers
/// that the template names.
/// Throws what ChatTemplate::render throws, and Error{invalid_argument} for messages or tools nested more than 100 levels deep.
ChatPrompt chat_prompt(const ChatTemplate& chat_template, const Tokenizer& tokenizer, const ChatInput& input, Fit fit = Fit::yes);
/// The same text alone, for a model without a tokenizer.
std::string chat_text(const ChatTemplate& chat_template, const ChatInput& input, Fit fit = Fit::yes);

}  // namespace gale
