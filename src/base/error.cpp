#include "gale/error.h"

namespace gale {

const char* error_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::out_of_memory:
      return "out_of_memory";
    case ErrorCode::busy:
      return "busy";
    case ErrorCode::cancelled:
      return "cancelled";
    case ErrorCode::internal:
      return "internal";
  }
  return "internal";
}

int http_status(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return 400;
    case ErrorCode::not_found:
      return 404;
    case ErrorCode::unsupported:
    case ErrorCode::corrupt:
      return 422;
    case ErrorCode::out_of_memory:
      return 503;
    case ErrorCode::busy:
      return 429;
    case ErrorCode::cancelled:
      return 499;
    case ErrorCode::internal:
      return 500;
  }
  return 500;
}

}  // namespace gale
