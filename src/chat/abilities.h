#pragma once

namespace gale {

class ChatTemplate;

/// What a chat template can do. No template says so: each line is the outcome of rendering a small conversation.
struct ChatAbilities {
  bool text_content = false;      ///< content may be a string
  bool content_parts = false;     ///< content may be a list of {"type": "text", "text"}
  bool system_role = false;       ///< a system message is shown
  bool tools = false;             ///< tool definitions are shown
  bool tool_calls = false;        ///< an assistant's tool_calls are shown
  bool parallel_calls = false;    ///< more than one in a message
  bool tool_results = false;      ///< messages of the role "tool" are shown
  bool reasoning = false;         ///< an assistant's reasoning_content is shown
  bool object_arguments = false;  ///< arguments of calls may be objects
  bool text_arguments = false;    ///< arguments of calls may be JSON in a string, as the OpenAI API has them
  bool null_content = false;      ///< a message with tool calls may have null as content
};

/// Renders the probes. `with_tools`: of the template for chats with tools, where there are two.
ChatAbilities find_abilities(const ChatTemplate& chat_template, bool with_tools);

}  // namespace gale
