#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>

namespace gale {
namespace {

// The one process-wide object of the library: a log is shared by its nature.
std::atomic<spdlog::logger*> g_logger{nullptr};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

}  // namespace

void log_to_stderr(LogLevel level) {
  static const auto logger = spdlog::stderr_color_mt("gale");
  logger->set_pattern("%^%l%$: %v");
  logger->set_level(to_spdlog(level));
  g_logger.store(logger.get());
}

void log_message(LogLevel level, std::string_view text) {
  if (auto* logger = g_logger.load()) logger->log(to_spdlog(level), text);
}

}  // namespace gale
