#include "storage/environment.h"

#include <cstdlib>
#include <ctime>

namespace tflite_serving {

Environment ProcessEnvironment() {
  return [](const char* name) {
    const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody changes the environment
    return std::string(value != nullptr ? value : "");
  };
}

std::string HomePath(const Environment& environment, const std::string& relative) {
  const std::string home = environment("HOME");
  return home.empty() ? relative : home + "/" + relative;
}

std::optional<std::chrono::system_clock::time_point> ParseUtcTime(const std::string& text) {
  std::tm time{};
  const char* const end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &time);
  if (end == nullptr) return std::nullopt;
  return std::chrono::system_clock::from_time_t(::timegm(&time));
}

}  // namespace tflite_serving
