// What is counted of requests.
//
// A request's time has four stages: queue (for a worker, then for a batch, an interpreter or a process), decode, run, encode.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/status.h"
#include "servable/inference_result.h"
#include "servable/servable.h"
#include "telemetry/metrics.h"

namespace tflite_serving {

enum class Protocol { kRest, kGrpc };
enum class ApiMethod { kPredict, kClassify, kRegress, kMultiInference, kMetadata, kStatus, kList, kReload, kProfile, kMalformed, kRefused };

std::string_view ProtocolName(Protocol protocol);  // "rest"
std::string_view ApiMethodName(ApiMethod method);  // "predict"

constexpr ApiMethod MetricOf(InferenceMethod method) { return method == InferenceMethod::kClassify ? ApiMethod::kClassify : ApiMethod::kRegress; }

// Counts of one model's requests. Thread-safe.
class ModelMetrics {
 public:
  static constexpr size_t kNumProtocols = 2;
  static constexpr size_t kNumMethods = static_cast<size_t>(ApiMethod::kRefused) + 1;
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
  enum class Rejection { kWorkerQueue, kUnreadBody, kNoKey, kNoPermission, kRate };

  // Borrowed, and must outlive this object.
  explicit RequestMetrics(const ServableSource& servables) : servables_(servables) {}

  // A request that is not timed, as all but inference are.
  void Count(Protocol protocol, ApiMethod method, std::string_view model, StatusCode code) { Of(model)->Count(protocol, method, code); }
  // By AccessControl::Check.
  void CountRefused(StatusCode why);
  void CountRejected(Rejection why) { rejected_.Add(static_cast<size_t>(why), 1); }

  // Models that are configured no more are forgotten here.
  void Collect(MetricsPage& page);

 private:
  friend class RequestRecord;

  // Clients name models as they like: those that are not configured share the empty name.
  std::shared_ptr<ModelMetrics> Of(std::string_view model);
  void AddInFlight(Protocol protocol, uint64_t change) { in_flight_.Add(static_cast<size_t>(protocol), change); }

  const ServableSource& servables_;
  ShardedCells in_flight_{ModelMetrics::kNumProtocols};
  ShardedCells rejected_{5};
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<ModelMetrics>, std::less<>> models_ TFLS_GUARDED_BY(mutex_);
};

}  // namespace tflite_serving
