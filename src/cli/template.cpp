#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>

#include "base/fail.h"
#include "base/json.h"
#include "base/parse_json.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/text.h"
#include "engine/chat_prompt.h"

namespace gale::cli {
namespace {

struct Flags {
  std::string model, messages, chat_template;
  bool tokens = false, json = false, as_is = false;
};

constexpr int kMostLevels = 200;  // more than a conversation may have, which says so itself

// A bare list of messages, or an object as the API takes it: messages, tools, chat_template_kwargs, add_generation_prompt.
int render(const Flags& flags) {
  const Json input = parse_json_text(read_input(flags.messages), flags.messages, kMostLevels);
  const Json& messages = input.is_object() && input.contains("messages") ? input["messages"] : input;
  require(
      messages.is_array(), ErrorCode::invalid_argument,
      "{}: expected a list of messages such as [{{\"role\": \"user\", \"content\": \"Hello\"}}], or an object with \"messages\"",
      flags.messages);
  const TextModel model = open_text(flags.model, flags.chat_template);
  require(model.chat_template != nullptr, ErrorCode::not_found, "{} has no chat template", flags.model);
  ChatInput chat;
  chat.messages = &messages;
  if (input.is_object()) {
    if (input.contains("tools") && !input["tools"].is_null()) chat.tools = &input["tools"];
    if (input.contains("chat_template_kwargs")) chat.extra = &input["chat_template_kwargs"];
    if (const auto it = input.find("add_generation_prompt"); it != input.end() && it->is_boolean())
      chat.add_generation_prompt = it->get<bool>();
  }
  if (flags.tokens) need_tokenizer(model.tokenizer.get(), flags.model);
  const Fit fit = flags.as_is ? Fit::no : Fit::yes;
  const auto [text, tokens] = model.tokenizer ? chat_prompt(*model.chat_template, *model.tokenizer, chat, fit)
                                              : ChatPrompt{chat_text(*model.chat_template, chat, fit), {}};
  if (flags.json)
    print_json({{"text", text}, {"tokens", tokens}});
  else
    print(flags.tokens ? fmt::format("{}\n", fmt::join(tokens, " ")) : text);
  return 0;
}

}  // namespace

void add_template(CommandLine& line) {
  CLI::App* sub = line.app.add_subcommand("template", "What a chat looks like to the model");
  const auto flags = std::make_shared<Flags>();
  sub->add_option("-m,--model", flags->model, "A folder, a .gguf file, a repository org/name, or demo")->required();
  sub->add_option("--messages", flags->messages,
                  "JSON: a list of messages, or a request with \"messages\" and \"tools\"; - reads stdin")
      ->required();
  sub->add_option("--chat-template", flags->chat_template, "A .jinja or .json file to use instead of the model's chat template");
  sub->add_flag(
      "--as-is", flags->as_is,
      "Give the messages to the template as they are, as Python's jinja2 would, without doing what it cannot do in its stead");
  sub->add_flag("--tokens", flags->tokens, "Print token ids instead of text");
  sub->add_flag("--json", flags->json, "Print one JSON object");
  sub->callback([&line, flags] { line.action = [flags] { return render(*flags); }; });
}

}  // namespace gale::cli
