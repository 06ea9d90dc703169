// How busy the server's threads are, as metrics.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/pool_load.h"
#include "telemetry/metrics.h"

namespace tflite_serving {

// Shares of time, over the same window whoever asks and however often. Thread-safe.
class Saturation {
 public:
  // The window goes back to the last question that was asked so long ago, or to the first.
  static constexpr std::chrono::seconds kWindow{10};
  // Questions closer together than this are one.
  static constexpr std::chrono::seconds kMinInterval{1};

  // Of the time that the threads of `pool` had in the window, the share that they were busy, 0 to 1. `busy`: all of them, since the start.
  double Of(std::string_view pool, int num_threads, std::chrono::nanoseconds busy, TimePoint now);

 private:
  struct Question {
    TimePoint at;
    std::chrono::nanoseconds busy;
  };
  Mutex mutex_;
  std::map<std::string, std::deque<Question>, std::less<>> pools_ TFLS_GUARDED_BY(mutex_);
};

// Those families of a pool that tell its threads, and of one with a queue also that.
void CollectThreads(std::string_view pool, int num_threads, std::chrono::nanoseconds busy, TimePoint now, Saturation& saturation, MetricsPage& page);
void CollectPool(std::string_view pool, const PoolLoad& load, TimePoint now, Saturation& saturation, MetricsPage& page);

}  // namespace tflite_serving
