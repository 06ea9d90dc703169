#include "runtime/run_estimate.h"

#include <algorithm>

namespace tflite_serving {
namespace {

// Runs are made longer by interruptions and cold caches, never shorter: a longer one counts little, so that one interruption does not send the next
// requests to other threads; a shorter one counts much.
constexpr int64_t kWeightDivisorUp = 8;
constexpr int64_t kWeightDivisorDown = 2;
// The time of a request smaller than this is not a matter of its size.
constexpr int64_t kSmallBytes = 512;

int64_t Average(int64_t before, int64_t now) { return before + (now - before) / (now > before ? kWeightDivisorUp : kWeightDivisorDown); }

}  // namespace

void RunEstimate::Record(std::chrono::nanoseconds time, size_t input_bytes) {
  const int64_t before = time_ns_.load(std::memory_order_relaxed);
  const auto bytes = static_cast<int64_t>(input_bytes);
  input_bytes_.store(before < 0 ? bytes : Average(input_bytes_.load(std::memory_order_relaxed), bytes), std::memory_order_relaxed);
  time_ns_.store(before < 0 ? time.count() : Average(before, time.count()), std::memory_order_relaxed);
}

std::optional<std::chrono::nanoseconds> RunEstimate::Expected(size_t request_bytes) const {
  const int64_t time_ns = time_ns_.load(std::memory_order_relaxed);
  if (time_ns < 0) return std::nullopt;
  const auto usual_bytes = static_cast<double>(std::max(input_bytes_.load(std::memory_order_relaxed), kSmallBytes));
  const double larger = std::max(1.0, static_cast<double>(request_bytes) / usual_bytes);
  return std::chrono::nanoseconds(static_cast<int64_t>(static_cast<double>(time_ns) * larger));
}

}  // namespace tflite_serving
