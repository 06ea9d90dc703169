// The environment variables by which people tell programs how to reach their object storage.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace tflite_serving {

// The value of a variable; empty: it is not set. Thread-safe.
using Environment = std::function<std::string(const char* name)>;

// This process's.
Environment ProcessEnvironment();

// A file below the home directory; `relative` where there is none.
std::string HomePath(const Environment& environment, const std::string& relative);

// Something that is asked for over the network, and good for a while.
template <typename T>
struct Dated {
  T value;
  std::chrono::system_clock::time_point good_until;
};

// "2026-11-28T21:00:00Z"; nothing for other text.
std::optional<std::chrono::system_clock::time_point> ParseUtcTime(const std::string& text);

}  // namespace tflite_serving
