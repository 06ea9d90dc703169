#include "telemetry/log.h"

#include <atomic>
#include <cstdio>
#include <ctime>

#include <fmt/chrono.h>

#include "base/json_escape.h"
#include "base/utf8.h"

namespace tflite_serving {
namespace {

using std::chrono::microseconds;
using std::chrono::system_clock;

std::atomic<LogLevel> g_level = LogLevel::kInfo;
std::atomic<LogFormat> g_format = LogFormat::kText;

constexpr std::string_view kLevelNames[] = {"debug", "info", "warning", "error"};
constexpr char kLevelLetters[] = {'D', 'I', 'W', 'E'};

// "/any/where/src/base/file.cc" -> "base/file.cc".
std::string_view PlaceInSources(std::string_view file) {
  const size_t at = file.rfind("/src/");
  return at == std::string_view::npos ? file : file.substr(at + 5);
}

// Local time in text, where a person reads it beside a clock; UTC in JSON, where machines compare those of many places.
std::string TimeText(system_clock::time_point time, LogFormat format) {
  const std::time_t seconds = system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
  const auto micros = std::chrono::duration_cast<microseconds>(time.time_since_epoch()).count() % 1'000'000;
  std::tm parts{};
  if (format == LogFormat::kText) {
    localtime_r(&seconds, &parts);
    return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:06}", parts, micros);
  }
  gmtime_r(&seconds, &parts);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", parts, micros);
}

bool NeedsQuotes(std::string_view value) { return value.empty() || value.find_first_of(" \"=\\") != std::string_view::npos; }

void AppendTextField(std::string& line, const LogField& field) {
  line.append(" ").append(field.name).append("=");
  if (const auto* number = std::get_if<int64_t>(&field.value)) {
    line += fmt::to_string(*number);
  } else if (const auto text = std::get<std::string_view>(field.value); NeedsQuotes(text)) {
    AppendJsonString(line, text);
  } else {
    line += EscapeControls(text);
  }
}

void AppendJsonField(std::string& line, const LogField& field) {
  line.append(",\"").append(field.name).append("\":");
  if (const auto* number = std::get_if<int64_t>(&field.value)) {
    line += fmt::to_string(*number);
  } else {
    AppendJsonString(line, ReplaceInvalidUtf8(std::get<std::string_view>(field.value)));
  }
}

}  // namespace

void SetLogLevel(LogLevel level) { g_level = level; }
LogLevel CurrentLogLevel() { return g_level.load(std::memory_order_relaxed); }
std::string_view LogLevelName(LogLevel level) { return kLevelNames[static_cast<size_t>(level)]; }
void SetLogFormat(LogFormat format) { g_format = format; }

void LogLine(LogLevel level, const char* file, int line, std::string_view message) {
  const std::string source = fmt::format("{}:{}", PlaceInSources(file), line);
  const std::string text = FormatLogLine(level, system_clock::now(), source, message, {});
  std::fwrite(text.data(), 1, text.size(), stderr);  // unbuffered, and one at a time
}

std::string FormatLogLine(LogLevel level, system_clock::time_point time, std::string_view source, std::string_view message,
                          std::span<const LogField> fields) {
  const LogFormat format = g_format.load(std::memory_order_relaxed);
  std::string line;
  if (format == LogFormat::kText) {
    line = fmt::format("{}: {} {}] {}", TimeText(time, format), kLevelLetters[static_cast<size_t>(level)], source, EscapeControls(message));
    for (const LogField& field : fields) AppendTextField(line, field);
  } else {
    line = fmt::format(R"({{"time":"{}","level":"{}","source":"{}","message":)", TimeText(time, format), LogLevelName(level), source);
    AppendJsonString(line, ReplaceInvalidUtf8(message));
    for (const LogField& field : fields) AppendJsonField(line, field);
    line += '}';
  }
  line += '\n';
  return line;
}

std::string EscapeControls(std::string_view message) {
  std::string escaped;
  escaped.reserve(message.size());
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      escaped += c;
    } else if (c == '\n') {
      escaped += "\\n";
    } else if (c == '\t') {
      escaped += "\\t";
    } else {
      escaped += fmt::format("\\x{:02x}", byte);
    }
  }
  return escaped;
}

}  // namespace tflite_serving
