#pragma once
#include <stdexcept>
#include <string>

namespace gale {

/// Why a call failed. A server maps it to an HTTP status (`http_status`); the command line exits with 1 for all of them.
enum class ErrorCode {
  invalid_argument,  ///< the caller's value is wrong: a flag, a request, a shape
  not_found,         ///< a file, a model, a name that does not exist
  unsupported,       ///< well formed, but of a kind Gale does not know; the message lists what it knows
  corrupt,           ///< a file or message that contradicts itself or is cut short
  out_of_memory,     ///< refused before it started because it would not fit
  busy,              ///< refused because too much is waiting; the same call may succeed later
  cancelled,         ///< the caller withdrew it
  internal,          ///< a bug of Gale's own
};

/// The one exception Gale throws for bad input, bad files and refused requests. The message says what is wrong, which value,
/// where (file, tensor, JSON pointer, line and column), and what the reader can do.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// Name of a code as it appears in JSON error bodies, such as "invalid_argument".
const char* error_name(ErrorCode code) noexcept;
/// HTTP status of a code: 400, 404, 422 (unsupported, corrupt), 503, 429, 499 or 500.
int http_status(ErrorCode code) noexcept;

}  // namespace gale
