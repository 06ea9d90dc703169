// What the server as a whole counts, beside what requests (api/request_metrics.h), batches and servables count themselves.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/pool_load.h"
#include "base/status.h"
#include "lifecycle/servable_loader.h"
#include "telemetry/metrics.h"
#include "telemetry/process_metrics.h"

namespace tflite_serving {

// The loads of models. Thread-safe.
class LoadMetrics {
 public:
  // `loader`, counted here, which must outlive it.
  ServableLoader Counting(ServableLoader loader);

  // Models that are not among `configured`, which is sorted, are forgotten.
  void Collect(std::span<const std::string> configured, MetricsPage& page);

 private:
  struct Loads {
    std::string path;  // of the model's versions: the last load's
    std::array<uint64_t, kNumStatusCodes> by_code{};
    Histogram times{metrics::kModelLoadSeconds};
  };

  void Count(const ServableId& id, const std::string& path, StatusCode code, std::chrono::nanoseconds time);

  Mutex mutex_;
  std::map<std::string, Loads, std::less<>> loads_ TFLS_GUARDED_BY(mutex_);  // by model
  uint64_t num_loads_ TFLS_GUARDED_BY(mutex_) = 0;                           // that succeeded, of all models there were
  std::chrono::nanoseconds time_ TFLS_GUARDED_BY(mutex_){0};                 // of these
};

// Shares of time from scrape to scrape. Thread-safe.
class Saturation {
 public:
  // A scrape that comes sooner after the one before gets its answer again.
  static constexpr std::chrono::seconds kMinInterval{1};

  // Of what the threads of `pool` could have been busy since the last call, the share that they were, 0 to 1. `busy`: of all of them since the start.
  double Of(std::string_view pool, int num_threads, std::chrono::nanoseconds busy, TimePoint now);

 private:
  struct Last {
    TimePoint at{};
    std::chrono::nanoseconds busy{0};
    double share = 0;
  };
  Mutex mutex_;
  std::map<std::string, Last, std::less<>> pools_ TFLS_GUARDED_BY(mutex_);
};

// A pool's own families.
void CollectPool(std::string_view name, const PoolLoad& load, TimePoint now, Saturation& saturation, MetricsPage& page);

// Those of event loops, whose threads have this name: they are busy while they take processor time.
void CollectEventLoops(std::string_view name, const ThreadTimes& threads, TimePoint now, Saturation& saturation, MetricsPage& page);

}  // namespace tflite_serving
