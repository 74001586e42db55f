#pragma once
#include <fmt/format.h>

#include <string_view>

namespace gale {

enum class LogLevel { debug, info, warning, error, off };

/// Where the library speaks. It never prints by itself: messages go to stderr through spdlog once a program has called
/// `log_to_stderr`, and nowhere before that. Thread-safe.
void log_to_stderr(LogLevel level);
void log_message(LogLevel level, std::string_view text);

template <class... Args>
void log_info(fmt::format_string<Args...> text, Args&&... args) {
  log_message(LogLevel::info, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> text, Args&&... args) {
  log_message(LogLevel::warning, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace gale
