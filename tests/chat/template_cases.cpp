// Renders chat templates for tools/template_diff.py: JSON lines in, JSON lines out, many cases in one process.
//
//   {"template", "messages", "tools", "generation", "extra", "now"}  ->  {"text", "source"} or {"error"}
//   "source": [from, to] in bytes of each piece that the template's own source wrote
//   with "repeat": n it renders n times and adds "seconds"
#include <chrono>
#include <iostream>
#include <string>

#include "base/json.h"
#include "chat/chat_template.h"
#include "gale/error.h"

namespace {

using gale::Json;

const Json* part(const Json& c, const char* name) {
  const auto found = c.find(name);
  return found == c.end() || found->is_null() ? nullptr : &*found;
}

Json render(const Json& c) {
  static const Json none = Json::array();
  gale::ChatInput input;
  input.messages = part(c, "messages") ? part(c, "messages") : &none;
  input.tools = part(c, "tools");
  input.extra = part(c, "extra");
  input.add_generation_prompt = c.value("generation", true);
  input.now = c.value("now", int64_t(1721995200));
  try {
    const auto chat = gale::ChatTemplate::parse(c.at("template").get<std::string>(), "<s>", "</s>");
    const auto start = std::chrono::steady_clock::now();
    const gale::PromptText prompt = chat.write(input);
    Json out = {{"text", prompt.text}, {"source", Json::array()}};
    prompt.authors.each(0, prompt.text.size(), [&](size_t from, size_t to, gale::Author who) {
      if (who == gale::Author::source) out["source"].push_back({from, to});
    });
    const int repeat = c.value("repeat", 0);
    for (int i = 1; i < repeat; ++i) chat.render(input);
    if (repeat > 0) out["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return out;
  } catch (const gale::Error& e) {
    return {{"error", e.what()}};
  }
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::cout << render(Json::parse(line)).dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  }
}
