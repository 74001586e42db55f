#pragma once
#include "base/json.h"
#include "chat/chat_template.h"

namespace gale {

/// A conversation in the form that a template takes.
struct FittedChat {
  Json messages;
  Json tools;  ///< null where none were given, or where the system prompt describes them
};

/// Fits a conversation of the OpenAI API to a template: reasoning under every name that templates know, arguments of calls as
/// objects or text, and, for what the template cannot do, other words for it: a system prompt folded into the next user turn,
/// tools described in the system prompt, calls and their results as JSON in assistant's and user's turns, one call a message,
/// parts of text joined. The template notes each once. `input.messages` is an array. Throws Error{unsupported} for media where
/// the template takes only text.
FittedChat fit_chat(const ChatTemplate& chat_template, const ChatInput& input);

}  // namespace gale
