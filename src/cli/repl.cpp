#include <fmt/format.h>
#include <histedit.h>

#include <cstdio>
#include <memory>

#include "cli/chat.h"
#include "gale/error.h"

namespace gale::cli {
namespace {

constexpr int kHistory = 1000;
constexpr const char* kHelp =
    "/clear         forget the conversation\n"
    "/system TEXT   start over with a system prompt; without TEXT: with none\n"
    "/help          this list\n"
    "/exit          leave, as does Ctrl-D\n"
    "Ctrl-C stops an answer.\n";

char* prompt_text(EditLine*) {
  static char text[] = "> ";
  return text;
}

// Lines from a terminal, with history and editing.
class LineReader {
 public:
  LineReader() : history_(history_init()), editor_(el_init("gale", stdin, stdout, stderr)) {
    if (!history_ || !editor_) throw Error(ErrorCode::out_of_memory, "cannot edit lines on this terminal; use -i PROMPT");
    HistEvent event;
    history(history_.get(), &event, H_SETSIZE, kHistory);
    history(history_.get(), &event, H_SETUNIQUE, 1);
    el_set(editor_.get(), EL_PROMPT, prompt_text);
    el_set(editor_.get(), EL_EDITOR, "emacs");
    el_set(editor_.get(), EL_SIGNAL, 1);  // restores the terminal when a signal ends the program
    el_set(editor_.get(), EL_HIST, history, history_.get());
    el_source(editor_.get(), nullptr);
  }

  /// False at the end of input.
  bool read(std::string& line) {
    int length = 0;
    const char* text = el_gets(editor_.get(), &length);
    if (text == nullptr || length <= 0) return false;
    line.assign(text, size_t(length));
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ')) line.pop_back();
    HistEvent event;
    if (!line.empty()) history(history_.get(), &event, H_ENTER, line.c_str());
    return true;
  }

 private:
  struct End {
    void operator()(EditLine* e) const { el_end(e); }
    void operator()(History* h) const { history_end(h); }
  };
  std::unique_ptr<History, End> history_;
  std::unique_ptr<EditLine, End> editor_;
};

void answer(Engine& engine, Chat& chat, const SamplingFlags& sampling, const std::string& line, bool verbose) {
  const InterruptScope interrupt;
  Request request = make_request(sampling);
  request.tokens = chat.ask(line);
  try {
    const Generation g = generate(engine, request, sampling.stops, interrupt, [](std::string_view text) { print(text, true); });
    print(g.text.ends_with('\n') ? "" : "\n", true);
    chat.answered(g.text, tokens_of(request, g));
    if (verbose) std::fprintf(stderr, "%s\n", speed_text(g.end).c_str());
  } catch (const Error&) {
    chat.take_back();
    throw;
  }
}

// True where the line was a command; `leave` is set by /exit.
bool command(Chat& chat, const std::string& line, bool& leave) {
  if (!line.starts_with('/')) return false;
  const std::string name = line.substr(0, line.find(' '));
  if (name == "/exit" || name == "/quit") {
    leave = true;
  } else if (name == "/clear") {
    chat.clear();
  } else if (name == "/system") {
    const size_t text = line.find_first_not_of(' ', name.size());
    chat.set_system(text == std::string::npos ? "" : line.substr(text));
    if (!chat.templated()) print("this chat is raw: the system prompt is not used\n", true);
  } else {
    print(name == "/help" ? kHelp : fmt::format("{} is no command; there are:\n{}", name, kHelp), true);
  }
  return true;
}

}  // namespace

int run_repl(Engine& engine, Chat& chat, const SamplingFlags& sampling, bool verbose) {
  print(fmt::format("{}: /help lists the commands, /exit leaves\n", engine.info().source), true);
  LineReader reader;
  std::string line;
  bool leave = false;
  while (!leave && reader.read(line)) {
    if (line.empty() || command(chat, line, leave)) continue;
    try {
      answer(engine, chat, sampling, line, verbose);
    } catch (const Error& e) {  // one bad turn does not end the conversation
      std::fprintf(stderr, "error: %s\n", e.what());
    }
  }
  return 0;
}

}  // namespace gale::cli
