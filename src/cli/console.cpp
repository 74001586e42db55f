#include "cli/console.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/fail.h"
#include "base/file.h"
#include "base/json.h"

namespace gale::cli {
namespace {

constexpr size_t kMaxInput = size_t(256) << 20;
constexpr int kKilledByInterrupt = 130;

// Signal handlers can reach nothing else.
std::atomic<int> g_interrupts{0};

void on_interrupt(int) {
  if (g_interrupts.fetch_add(1) > 0) _exit(kKilledByInterrupt);
}

[[noreturn]] void write_failed() {
  if (errno == EPIPE) throw OutputClosed();
  fail(ErrorCode::out_of_memory, "cannot write the output: {}", std::strerror(errno));
}

std::string scaled(double n, double step, std::initializer_list<const char*> units) {
  auto unit = units.begin();
  while (n >= step && unit + 1 != units.end()) n /= step, ++unit;
  return fmt::format("{:.{}f} {}", n, unit == units.begin() || n >= 100 ? 0 : n >= 10 ? 1 : 2, *unit);
}

}  // namespace

void print(std::string_view text, bool flush) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) write_failed();
  if (flush && std::fflush(stdout) != 0) write_failed();
}

void print_json(const Json& json) { print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n", true); }

bool output_closed() { return errno == EPIPE; }

bool stdin_is_terminal() { return isatty(STDIN_FILENO) == 1; }
bool stdout_is_terminal() { return isatty(STDOUT_FILENO) == 1; }
bool stderr_is_terminal() { return isatty(STDERR_FILENO) == 1; }

std::string read_stdin() {
  std::string out;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return out;  // a closed stdin is an empty one
    out.append(buffer, size_t(n));
    require(out.size() <= kMaxInput, ErrorCode::invalid_argument, "stdin has more than {}", size_text(int64_t(kMaxInput)));
  }
}

std::string read_input(const std::string& path) { return path == "-" ? read_stdin() : read_text(path, kMaxInput); }

std::string size_text(int64_t bytes) { return scaled(double(bytes), 1000, {"bytes", "KB", "MB", "GB", "TB"}); }
std::string count_text(int64_t n) { return n < 1000 ? std::to_string(n) : scaled(double(n), 1000, {"", "K", "M", "G", "T"}); }

InterruptScope::InterruptScope() {
  g_interrupts = 0;
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
}
InterruptScope::~InterruptScope() { std::signal(SIGINT, SIG_DFL); }
bool InterruptScope::interrupted() const { return g_interrupts > 0; }

}  // namespace gale::cli
