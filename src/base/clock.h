// The only source of time, so that tests can turn the hands themselves and never sleep.
#pragma once

#include <chrono>

namespace tflite_serving {

using TimePoint = std::chrono::steady_clock::time_point;
inline constexpr TimePoint kNoDeadline = TimePoint::max();

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;

  // The machine's monotonic clock; lives as long as the process.
  static const Clock& Steady();
};

}  // namespace tflite_serving
