#include "batching/batch_metrics.h"

#include <string>

namespace tflite_serving {

void BatchMetrics::Ran(int64_t rows, int64_t filler) {
  ran_.Observe(static_cast<uint64_t>(rows));
  if (filler == 0) return;
  const MutexLock lock(mutex_);
  fillers_.try_emplace(rows, metrics::kTfPaddingSize).first->second.Observe(static_cast<uint64_t>(filler));
}

void BatchMetrics::Collect(MetricsPage& page, std::string_view pool) const {
  page.Add(metrics::kTfQueuingLatency, {pool}, queuing_);
  page.Add(metrics::kTfInputBatchSize, {}, submitted_);
  page.Add(metrics::kTfProcessedBatchSize, {}, ran_);
  page.Add(metrics::kTfWrappedRuns, {}, static_cast<double>(ran_.count()));
  page.Add(metrics::kRejected, {"batch_queue"}, static_cast<double>(rejected_.value()));
  const MutexLock lock(mutex_);
  for (const auto& [rows, filler] : fillers_) page.Add(metrics::kTfPaddingSize, {std::to_string(rows)}, filler);
}

}  // namespace tflite_serving
