// What is counted of requests, and where a request notes its times while it is on its way.
//
// A request's time has four stages: queue (for a worker, then for a batch, an interpreter or a process), decode, run, encode.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "servable/inference_result.h"
#include "servable/servable.h"
#include "telemetry/metrics.h"

namespace tflite_serving {

enum class Protocol { kRest, kGrpc };
enum class ApiMethod { kPredict, kClassify, kRegress, kMultiInference, kMetadata, kStatus, kList, kReload, kProfile, kMalformed };

constexpr ApiMethod MetricOf(InferenceMethod method) { return method == InferenceMethod::kClassify ? ApiMethod::kClassify : ApiMethod::kRegress; }

// Counts of one model's requests. Thread-safe.
class ModelMetrics {
 public:
  static constexpr size_t kNumProtocols = 2;
  static constexpr size_t kNumMethods = static_cast<size_t>(ApiMethod::kMalformed) + 1;
  static constexpr size_t kNumStages = 4;

  explicit ModelMetrics(std::string name) : name_(std::move(name)) {}
  ~ModelMetrics();
  ModelMetrics(const ModelMetrics&) = delete;
  ModelMetrics& operator=(const ModelMetrics&) = delete;

  const std::string& name() const { return name_; }
  // Whether it is on the page no longer: count with another.
  bool retired() const { return retired_.load(std::memory_order_relaxed); }

  void Count(Protocol protocol, ApiMethod method, StatusCode code);
  // A request that succeeded: all of its time and, unless `signature` is empty, that of its stages.
  struct Times {
    std::chrono::nanoseconds total{0}, queue{0}, decode{0}, run{0}, encode{0};
  };
  void Observe(Protocol protocol, ApiMethod method, std::string_view signature, const Times& times);
  void ObserveExamples(size_t count) { examples_.Get(metrics::kTfExampleCounts).Observe(uint64_t{count}); }

  void Collect(MetricsPage& page) const;

 private:
  friend class RequestMetrics;
  struct Calls {  // of one protocol and method
    ShardedCells by_code{kNumStatusCodes};
    Histogram latency{metrics::kTfRequestLatency};
    Histogram run{metrics::kTfRuntimeLatency};
  };
  struct Stages;

  Stages& StagesOf(std::string_view signature);

  const std::string name_;
  std::atomic<bool> retired_ = false;  // no longer on the page
  std::array<std::array<Lazily<Calls>, kNumMethods>, kNumProtocols> calls_;
  Lazily<Histogram> examples_;
  std::atomic<Stages*> stages_ = nullptr;  // a list, as long as the model has signatures that were asked for
};

// Thread-safe.
class RequestMetrics {
 public:
  enum class Rejection { kWorkerQueue, kUnreadBody };

  // Both are borrowed and must outlive this object.
  RequestMetrics(const ServableSource& servables, const Clock& clock) : servables_(servables), clock_(clock) {}

  // A request that is not timed, as all but inference are.
  void Count(Protocol protocol, ApiMethod method, std::string_view model, StatusCode code) { Of(model)->Count(protocol, method, code); }
  void CountRejected(Rejection why) { rejected_.Add(static_cast<size_t>(why), 1); }

  // Models that are configured no more are forgotten here.
  void Collect(MetricsPage& page);

 private:
  friend class RequestRecord;

  // Clients name models as they like: those that are not configured share the empty name.
  std::shared_ptr<ModelMetrics> Of(std::string_view model);
  void AddInFlight(Protocol protocol, uint64_t change) { in_flight_.Add(static_cast<size_t>(protocol), change); }

  const ServableSource& servables_;
  const Clock& clock_;
  ShardedCells in_flight_{ModelMetrics::kNumProtocols};
  ShardedCells rejected_{2};
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<ModelMetrics>, std::less<>> models_ TFLS_GUARDED_BY(mutex_);
};

// Counts a request that is not timed, where there are metrics.
inline void CountCall(RequestMetrics* metrics, Protocol protocol, ApiMethod method, std::string_view model, StatusCode code) {
  if (metrics != nullptr) metrics->Count(protocol, method, model, code);
}

// The times of one inference request, from Begin to End; used again by the next one of its task, for its memory. Does nothing without metrics.
// Thread-compatible.
class RequestRecord {
 public:
  // `metrics` is borrowed; null: nothing is noted.
  void Begin(RequestMetrics* metrics, Protocol protocol, ApiMethod method);
  // Which model it is for, configured or not.
  void SetModel(std::string_view name);
  // It waits for a worker from now on, and then it has one; more than once, or not at all.
  void Queued();
  void Started();
  // For RunRequest.
  RunTimeline* run_times() { return metrics_ != nullptr ? &run_ : nullptr; }
  void SetExamples(size_t count) { num_examples_ = count; }
  // No thread would take it.
  void Rejected() {
    if (metrics_ != nullptr) metrics_->CountRejected(RequestMetrics::Rejection::kWorkerQueue);
  }
  // Its answer is written. `signature` is the one that was run; empty: none, or several.
  void End(std::string_view signature, StatusCode code);
  void End(const Signature* signature, StatusCode code) { End(signature != nullptr ? std::string_view(signature->key) : std::string_view(), code); }

 private:
  RequestMetrics* metrics_ = nullptr;
  Protocol protocol_ = Protocol::kRest;
  ApiMethod method_ = ApiMethod::kPredict;
  std::shared_ptr<ModelMetrics> model_;  // of the request before, until SetModel
  bool has_model_ = false;
  size_t num_examples_ = 0;
  TimePoint arrived_{};
  TimePoint queued_at_{};
  std::chrono::nanoseconds waited_{0};
  RunTimeline run_;
};

}  // namespace tflite_serving
