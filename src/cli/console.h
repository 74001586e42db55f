#pragma once
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/json_fwd.h"

namespace gale::cli {

/// Thrown by print() once the reader of stdout has left; ends the program quietly.
struct OutputClosed : std::runtime_error {
  OutputClosed() : std::runtime_error("output closed") {}
};

/// Writes text to stdout; `flush` for text that streams. Throws OutputClosed, or Error where stdout cannot be written.
void print(std::string_view text, bool flush = false);
/// One JSON document and a line end; bytes that are not UTF-8 become U+FFFD.
void print_json(const Json& json);
/// True where stdout failed because its reader left.
bool output_closed();

bool stdin_is_terminal();
bool stdout_is_terminal();
bool stderr_is_terminal();
/// All of stdin, or of a file. Throws Error above 256 MB and for files that cannot be read.
std::string read_stdin();
std::string read_input(const std::string& path);

/// "3.2 GB", "412 MB", "17 KB", with decimal units as drives and bandwidths have them.
std::string size_text(int64_t bytes);
/// "1.24 G", "135 M"
std::string count_text(int64_t n);

/// Ctrl-C while this lives counts as a wish to stop instead of killing the program; the second one kills it.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
  bool interrupted() const;
};

}  // namespace gale::cli
