// The process's log: one line per event on standard error, as text
//
//   2026-11-22 14:03:07.123456: I lifecycle/manager.cc:41] Successfully loaded servable version {name: digits version: 1}
//
// whose layout (time, level letter, place) is TensorFlow's, since people's scripts search such lines; or as JSON
//
//   {"time":"2026-11-22T14:03:07.123456Z","level":"info","source":"lifecycle/manager.cc:41","message":"Successfully loaded …"}
//
// Thread-safe; the only global of this code base. Control characters in a message are escaped, so that no request can forge a line.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <fmt/format.h>

namespace tflite_serving {

enum class LogLevel { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };
enum class LogFormat { kText, kJson };

// Lines below `level` are dropped. kInfo at first.
void SetLogLevel(LogLevel level);
LogLevel CurrentLogLevel();
inline bool LogEnabled(LogLevel level) { return level >= CurrentLogLevel(); }
std::string_view LogLevelName(LogLevel level);  // "info"

// kText at first.
void SetLogFormat(LogFormat format);

// Writes one line; `file` and `line` are where the event was noticed.
void LogLine(LogLevel level, const char* file, int line, std::string_view message);

// One value that an event has beside its message.
struct LogField {
  std::string_view name;
  std::variant<std::string_view, int64_t> value;
};
// A line of the log, its end included, in the format that is set: fields as members of the JSON object, or as name=value behind the message, values
// with spaces or quotes in quotes. `source`: "lifecycle/manager.cc:41".
std::string FormatLogLine(LogLevel level, std::chrono::system_clock::time_point time, std::string_view source, std::string_view message,
                          std::span<const LogField> fields);

// `message` with every control character as \n, \t or \xNN.
std::string EscapeControls(std::string_view message);

#define TFLS_LOG(level, ...)                                                            \
  do {                                                                                  \
    if (::tflite_serving::LogEnabled(level)) {                                          \
      ::tflite_serving::LogLine(level, __FILE__, __LINE__, ::fmt::format(__VA_ARGS__)); \
    }                                                                                   \
  } while (false)
#define TFLS_DEBUG(...) TFLS_LOG(::tflite_serving::LogLevel::kDebug, __VA_ARGS__)
#define TFLS_INFO(...) TFLS_LOG(::tflite_serving::LogLevel::kInfo, __VA_ARGS__)
#define TFLS_WARNING(...) TFLS_LOG(::tflite_serving::LogLevel::kWarning, __VA_ARGS__)
#define TFLS_ERROR(...) TFLS_LOG(::tflite_serving::LogLevel::kError, __VA_ARGS__)

}  // namespace tflite_serving
