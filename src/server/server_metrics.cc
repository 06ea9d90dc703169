#include "server/server_metrics.h"

#include <algorithm>

namespace tflite_serving {
namespace {

double Seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

double Saturation::Of(std::string_view pool, int num_threads, std::chrono::nanoseconds busy, TimePoint now) {
  const MutexLock lock(mutex_);
  std::deque<Question>& asked = pools_[std::string(pool)];
  while (asked.size() > 1 && now - asked[1].at >= kWindow) asked.pop_front();
  if (asked.empty() || now - asked.back().at >= kMinInterval) asked.push_back({now, busy});
  const Question& first = asked.front();
  if (now <= first.at || num_threads <= 0) return 0;
  return std::clamp(Seconds(busy - first.busy) / (Seconds(now - first.at) * num_threads), 0.0, 1.0);
}

void CollectThreads(std::string_view pool, int num_threads, std::chrono::nanoseconds busy, TimePoint now, Saturation& saturation, MetricsPage& page) {
  page.Add(metrics::kPoolThreads, {pool}, num_threads);
  page.Add(metrics::kPoolSaturation, {pool}, saturation.Of(pool, num_threads, busy, now));
}

void CollectPool(std::string_view pool, const PoolLoad& load, TimePoint now, Saturation& saturation, MetricsPage& page) {
  CollectThreads(pool, load.num_threads, load.busy, now, saturation, page);
  page.Add(metrics::kQueueDepth, {pool}, static_cast<double>(load.num_queued));
  page.Add(metrics::kQueueAge, {pool}, Seconds(load.oldest));
}

}  // namespace tflite_serving
