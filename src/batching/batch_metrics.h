// What is counted of batches, of all models together. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>

#include "base/mutex.h"
#include "telemetry/metrics.h"

namespace tflite_serving {

class BatchMetrics {
 public:
  void Waited(std::chrono::nanoseconds time) { queuing_.Observe(time); }
  void Submitted(int64_t rows) { submitted_.Observe(static_cast<uint64_t>(rows)); }
  // A run of `rows`, `filler` of them to reach an allowed size.
  void Ran(int64_t rows, int64_t filler);
  void Rejected() { rejected_.Add(); }

  // `pool`: thread_pool_name of the batching parameters, which the original prints.
  void Collect(MetricsPage& page, std::string_view pool) const;

 private:
  Histogram queuing_{metrics::kTfQueuingLatency};
  Histogram submitted_{metrics::kTfInputBatchSize};
  Histogram ran_{metrics::kTfProcessedBatchSize};
  Counter rejected_;
  mutable Mutex mutex_;
  std::map<int64_t, Histogram> fillers_ TFLS_GUARDED_BY(mutex_);  // by the rows of the run; allowed sizes are few
};

}  // namespace tflite_serving
