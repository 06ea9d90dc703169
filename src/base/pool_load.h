// How busy a pool of threads is, and what waits for them: for metrics.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "base/clock.h"

namespace tflite_serving {

struct PoolLoad {
  int num_threads = 0;
  std::chrono::nanoseconds busy{0};  // of all threads together, since the pool's start
  size_t num_queued = 0;
  std::chrono::nanoseconds oldest{0};  // how long the one has waited that came first
};

// Adds up the time of threads that are busy, also of those that still are. Thread-compatible.
class BusyTime {
 public:
  // So many threads more, or fewer, are busy from `now` on.
  void Change(int threads, TimePoint now) {
    total_ = Total(now);
    changed_ = std::max(changed_, now);
    busy_ += threads;
  }
  std::chrono::nanoseconds Total(TimePoint now) const { return total_ + std::max(now - changed_, TimePoint::duration(0)) * busy_; }

 private:
  std::chrono::nanoseconds total_{0};
  TimePoint changed_{};
  int busy_ = 0;
};

}  // namespace tflite_serving
