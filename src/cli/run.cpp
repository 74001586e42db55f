#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "base/clock.h"
#include "base/json.h"
#include "cli/chat.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "tokenizer/token_search.h"

namespace gale::cli {
namespace {

constexpr const char* kDefaultPrompt = "What is 13 plus 24?";

struct Flags {
  ModelFlags model;
  SamplingFlags sampling;
  std::string prompt, system, session;
  bool raw = false, heal = false, json = false, verbose = false;
};

// Without -i and without a terminal: what stdin says, or, for those who only want to see the demo at work, a question.
std::string prompt_from_stdin(const Flags& flags) {
  std::string text = read_stdin();
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (!text.empty()) return text;
  if (flags.model.model != "demo") throw UsageError("no prompt: give one with -i TEXT or on stdin");
  return kDefaultPrompt;
}

// The prompt's last tokens may be cut as nothing the model has read was: it chooses them again, so that they go on well.
void heal_prompt(const Engine& engine, Request& request) {
  Healed healed = heal(*engine.tokenizer(), request.tokens);
  if (healed.ids.empty()) return;  // all of it: there is nothing to go on from
  request.tokens = std::move(healed.ids);
  request.sampling.begin_with = std::move(healed.text);
}

int answer_once(Engine& engine, Chat& chat, const Flags& flags, const std::string& prompt, double load_seconds) {
  Request request = make_request(flags.sampling);
  request.tokens = chat.ask(prompt);
  if (flags.heal) heal_prompt(engine, request);
  const InterruptScope interrupt;
  const Generation g = generate(engine, request, flags.sampling.stops, interrupt, [&](std::string_view text) {
    if (!flags.json) print(text, true);
  });
  if (flags.json)
    print_json(generation_json(engine, g, load_seconds, request));
  else
    print("\n", true);
  if (flags.verbose) std::fprintf(stderr, "%s\n", speed_text(g.end).c_str());
  chat.answered(g.text, tokens_of(request, g));
  return 0;
}

// A file that is not there yet is made at the end.
void open_session(Engine& engine, Chat& chat, const std::string& file) {
  chat.begin_session();
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored)) chat.resume(engine.load_session(file), file);
}

int run(const Flags& flags, bool prompt_given) {
  make_request(flags.sampling);  // wrong flags are told before a long load
  const bool repl = !prompt_given && stdin_is_terminal();
  if (repl && flags.json) throw UsageError("--json needs a prompt: give one with -i TEXT or on stdin");
  const std::string prompt = repl ? "" : prompt_given ? flags.prompt : prompt_from_stdin(flags);
  const double start = now_seconds();
  EngineOptions options = engine_options(flags.model);
  options.max_sequences = std::max(options.max_sequences, flags.sampling.beams);
  const auto engine = open_engine(options);
  const double load_seconds = now_seconds() - start;
  Chat chat(*engine, flags.raw, flags.system);
  if (!flags.session.empty()) open_session(*engine, chat, flags.session);
  const int code =
      repl ? run_repl(*engine, chat, flags.sampling, flags.verbose) : answer_once(*engine, chat, flags, prompt, load_seconds);
  if (!flags.session.empty()) engine->save_session(flags.session, chat.session());
  return code;
}

}  // namespace

void add_run(CommandLine& line) {
  CLI::App* sub = line.app.add_subcommand("run", "Chat with a model, or answer one prompt");
  const auto flags = std::make_shared<Flags>();
  add_model_flags(*sub, flags->model, "demo");
  add_store_flags(*sub, flags->model);
  add_draft_flags(*sub, flags->model);
  CLI::Option* prompt =
      sub->add_option("-i,--prompt", flags->prompt, "The prompt; without it a conversation, or stdin where that is no terminal");
  sub->add_option("--system", flags->system, "System prompt");
  sub->add_option("--session", flags->session,
                  "A file to go on from, with what was computed then, and to write at the end; it need not be there yet");
  sub->add_option("--chat-template", flags->model.chat_template,
                  "A .jinja or .json file to use instead of the model's chat template");
  sub->add_flag("--raw", flags->raw, "Give the prompt to the model as it is, without the chat template");
  sub->add_flag("--heal", flags->heal,
                "With --raw: let the model choose the prompt's last tokens anew, where others begin with their text")
      ->needs("--raw");
  sub->add_flag("--json", flags->json, "Print one JSON object when the answer is complete");
  add_sampling_flags(*sub, flags->sampling);
  sub->callback([&line, flags, prompt] {
    flags->verbose = line.verbose;
    line.action = [flags, given = prompt->count() > 0] { return run(*flags, given); };
  });
}

}  // namespace gale::cli
