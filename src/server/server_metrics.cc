#include "server/server_metrics.h"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;

double Seconds(nanoseconds time) { return std::chrono::duration<double>(time).count(); }

// Where the versions of a model are, from the path of one: "/models/m" of "/models/m/3/model.tflite"; without a version's folder, that path.
std::string BasePathOf(const std::string& path) {
  std::filesystem::path version(path);
  if (version.extension() == ".tflite") version = version.parent_path();
  const std::string number = version.filename().string();
  const bool is_version = !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
  return is_version ? version.parent_path().string() : path;
}

}  // namespace

ServableLoader LoadMetrics::Counting(ServableLoader loader) {
  return [this, loader = std::move(loader)](const ServableId& id, const std::string& path, const LoadOptions& options, const Cancellation& stop) {
    const TimePoint start = Clock::Steady().Now();
    StatusOr<ServableHandle> servable = loader(id, path, options, stop);
    Count(id, path, servable.status().code(), Clock::Steady().Now() - start);
    return servable;
  };
}

void LoadMetrics::Count(const ServableId& id, const std::string& path, StatusCode code, nanoseconds time) {
  const MutexLock lock(mutex_);
  Loads& loads = loads_[id.name];
  loads.path = BasePathOf(path);
  ++loads.by_code[static_cast<size_t>(code)];
  if (code != StatusCode::kOk) return;
  loads.times.Observe(time);
  ++num_loads_;
  time_ += time;
}

void LoadMetrics::Collect(std::span<const std::string> configured, MetricsPage& page) {
  const MutexLock lock(mutex_);
  std::erase_if(loads_, [&](const auto& entry) { return !std::ranges::binary_search(configured, entry.first); });
  std::map<std::string, Loads*> by_path;  // two models may have one
  for (auto& [name, loads] : loads_) {
    for (size_t code = 0; code < kNumStatusCodes; ++code) {
      if (loads.by_code[code] == 0) continue;
      page.Add(metrics::kModelLoads, {name, StatusCodeName(static_cast<StatusCode>(code))}, static_cast<double>(loads.by_code[code]));
    }
    page.Add(metrics::kModelLoadSeconds, {name}, loads.times);
    by_path[loads.path] = &loads;
  }
  for (const auto& [path, loads] : by_path) {
    uint64_t failures = 0;
    for (size_t code = 1; code < kNumStatusCodes; ++code) failures += loads->by_code[code];
    page.Add(metrics::kTfLoadAttempts, {path, "success"}, static_cast<double>(loads->by_code[0]));
    page.Add(metrics::kTfLoadAttempts, {path, "fail"}, static_cast<double>(failures));
    page.Add(metrics::kTfLoadLatency, {path}, static_cast<double>(loads->times.sum()) / metrics::kTicksPerMicrosecond);
  }
  page.Add(metrics::kTfGraphBuilds, {}, static_cast<double>(num_loads_));
  page.Add(metrics::kTfGraphBuildTime, {}, static_cast<double>(time_.count()) / metrics::kTicksPerMicrosecond);
}

double Saturation::Of(std::string_view pool, int num_threads, nanoseconds busy, TimePoint now) {
  const MutexLock lock(mutex_);
  const auto [found, is_new] = pools_.try_emplace(std::string(pool), Last{.at = now, .busy = busy});
  Last& last = found->second;
  if (is_new || now - last.at < kMinInterval || num_threads <= 0) return last.share;
  const double share = Seconds(busy - last.busy) / (Seconds(now - last.at) * num_threads);
  last = {.at = now, .busy = busy, .share = std::clamp(share, 0.0, 1.0)};
  return last.share;
}

void CollectPool(std::string_view name, const PoolLoad& load, TimePoint now, Saturation& saturation, MetricsPage& page) {
  page.Add(metrics::kPoolThreads, {name}, load.num_threads);
  page.Add(metrics::kPoolSaturation, {name}, saturation.Of(name, load.num_threads, load.busy, now));
  page.Add(metrics::kQueueDepth, {name}, static_cast<double>(load.num_queued));
  page.Add(metrics::kQueueAge, {name}, Seconds(load.oldest));
}

void CollectEventLoops(std::string_view name, const ThreadTimes& threads, TimePoint now, Saturation& saturation, MetricsPage& page) {
  page.Add(metrics::kPoolThreads, {name}, threads.count);
  page.Add(metrics::kPoolSaturation, {name}, saturation.Of(name, threads.count, threads.cpu, now));
}

}  // namespace tflite_serving
