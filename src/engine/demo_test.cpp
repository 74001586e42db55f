#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/json.h"
#include "chat/chat_template.h"
#include "gale/engine.h"
#include "tokenizer/text_stream.h"

// End to end: the bundled model answers questions that its training text never held, greedily, through the whole pipeline.
namespace gale {
namespace {

struct Question {
  std::string group, expected;
  bool whole;  // the answer must equal what is expected, not just contain it
  Json messages, tools;
};

std::vector<Question> questions() {
  std::vector<Question> out;
  std::ifstream in(std::filesystem::path(GALE_SOURCE_DIR) / "models/demo/eval_questions.jsonl");
  for (std::string line; std::getline(in, line);) {
    const Json q = Json::parse(line);
    out.push_back({q.at("group"), q.at("expected"), q.at("match") == "equals", q.at("messages"), q.value("tools", Json())});
  }
  return out;
}

std::string trimmed(const std::string& s) {
  const size_t first = s.find_first_not_of(" \n"), last = s.find_last_not_of(" \n");
  return first == s.npos ? "" : s.substr(first, last - first + 1);
}

std::unique_ptr<EventStream> ask(Engine& engine, const Question& q) {
  ChatInput input;
  input.messages = &q.messages;
  if (!q.tools.is_null()) input.tools = &q.tools;
  Request request;
  request.tokens =
      engine.tokenizer()->encode(engine.chat_template()->render(input), {.add_special = false, .parse_special = true});
  request.max_tokens = 64;
  return engine.submit(std::move(request));
}

std::string answer(Engine& engine, EventStream& events) {
  TextStream text(*engine.tokenizer(), {});
  std::string out;
  while (const auto event = events.next()) {
    if (const auto* token = std::get_if<TokenEvent>(&*event)) out += text.push(token->token);
    if (const auto* end = std::get_if<EndEvent>(&*event)) EXPECT_NE(end->finish, Finish::error) << end->error;
  }
  return out + text.flush();
}

std::unique_ptr<Engine> open_demo() {
  EngineOptions options;
  options.model = "demo";
  return Engine::open(options);
}

TEST(Demo, AnswersHeldOutQuestions) {
  const auto engine = open_demo();
  ASSERT_NE(engine->tokenizer(), nullptr);
  ASSERT_NE(engine->chat_template(), nullptr);
  const auto all = questions();
  ASSERT_GT(all.size(), 200u);
  std::vector<std::unique_ptr<EventStream>> streams;
  for (const auto& q : all) streams.push_back(ask(*engine, q));
  std::map<std::string, std::pair<int, int>> score;  // right, asked
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string got = trimmed(answer(*engine, *streams[i]));
    const bool right = all[i].whole ? got == trimmed(all[i].expected) : got.find(all[i].expected) != got.npos;
    auto& [good, asked] = score[all[i].group];
    good += right;
    asked++;
  }
  for (const auto& [group, s] : score) std::printf("demo %-12s %d of %d\n", group.c_str(), s.first, s.second);
  const auto share = [&](const char* group) { return double(score[group].first) / score[group].second; };
  // What the model is for. It cannot spell names it never met ("unseen") nor read a tool's result ("tools"):
  // models/demo/README.md.
  EXPECT_GE(share("sums"), 0.95);
  EXPECT_GE(share("world"), 0.9);
  EXPECT_GE(share("gale"), 0.9);
  EXPECT_GE(share("system"), 0.8);
  EXPECT_GE(share("turns"), 0.8);
  EXPECT_GE(share("tools"), 0.5);
}

TEST(Demo, NamesTheCommandThatStartsTheServer) {
  const auto engine = open_demo();
  const Question q{"", "", false, Json::parse(R"([{"role": "user", "content": "Which command starts the server?"}])"), {}};
  EXPECT_NE(answer(*engine, *ask(*engine, q)).find("gale serve"), std::string::npos);
}

}  // namespace
}  // namespace gale
