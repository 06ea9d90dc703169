#include "api/request_metrics.h"

#include <algorithm>

namespace tflite_serving {
namespace {

constexpr std::string_view kProtocolNames[] = {"rest", "grpc"};
constexpr std::string_view kMethodNames[] = {"predict", "classify",      "regress", "multi_inference", "metadata", "status",
                                             "list",    "reload_config", "profile", "malformed",       "refused"};
static_assert(std::size(kMethodNames) == ModelMetrics::kNumMethods);
constexpr std::string_view kStageNames[] = {"queue", "decode", "run", "encode"};
constexpr std::string_view kRejectionNames[] = {"worker_queue", "unread_body", "unauthenticated", "permission_denied", "rate"};

// The original's labels; those of the methods that it times.
constexpr std::string_view kEntrypoints[] = {"REST", "GRPC"};
constexpr std::string_view kOriginalMethods[] = {"Predict", "Classify", "Regress"};
constexpr std::string_view kOriginalVerbs[] = {"predict", "classify", "regress"};
constexpr std::string_view kOriginalRuntime = "TF1";  // also what it says of .tflite models

// The original counts these gRPC methods, and all that comes over REST.
bool OriginalCounts(Protocol protocol, size_t method) { return protocol == Protocol::kRest || method < std::size(kOriginalMethods); }

}  // namespace

std::string_view ProtocolName(Protocol protocol) { return kProtocolNames[static_cast<size_t>(protocol)]; }
std::string_view ApiMethodName(ApiMethod method) { return kMethodNames[static_cast<size_t>(method)]; }

struct ModelMetrics::Stages {
  explicit Stages(std::string_view name) : signature(name) {}

  const std::string signature;
  std::array<Histogram, kNumStages> times{Histogram(metrics::kStageSeconds), Histogram(metrics::kStageSeconds), Histogram(metrics::kStageSeconds),
                                          Histogram(metrics::kStageSeconds)};
  Stages* next = nullptr;
};

ModelMetrics::~ModelMetrics() {
  for (Stages* stages = stages_.load(); stages != nullptr;) delete std::exchange(stages, stages->next);
}

void ModelMetrics::Count(Protocol protocol, ApiMethod method, StatusCode code) {
  calls_[static_cast<size_t>(protocol)][static_cast<size_t>(method)].Get().by_code.Add(static_cast<size_t>(code), 1);
}

void ModelMetrics::Observe(Protocol protocol, ApiMethod method, std::string_view signature, const Times& times) {
  Calls& calls = calls_[static_cast<size_t>(protocol)][static_cast<size_t>(method)].Get();
  calls.latency.Observe(times.total);
  if (signature.empty()) return;
  calls.run.Observe(times.run);
  Stages& stages = StagesOf(signature);
  stages.times[0].Observe(times.queue);
  stages.times[1].Observe(times.decode);
  stages.times[2].Observe(times.run);
  stages.times[3].Observe(times.encode);
}

ModelMetrics::Stages& ModelMetrics::StagesOf(std::string_view signature) {
  Stages* first = stages_.load(std::memory_order_acquire);
  const auto find = [&](const Stages* end) -> Stages* {
    for (Stages* stages = first; stages != end; stages = stages->next) {
      if (stages->signature == signature) return stages;
    }
    return nullptr;
  };
  if (Stages* const found = find(nullptr)) return *found;
  auto made = std::make_unique<Stages>(signature);
  do {
    made->next = first;
    if (stages_.compare_exchange_strong(first, made.get(), std::memory_order_acq_rel)) return *made.release();
  } while (find(made->next) == nullptr);
  return *find(made->next);
}

void ModelMetrics::Collect(MetricsPage& page) const {
  std::array<uint64_t, kNumStatusCodes> originals{};
  for (size_t p = 0; p < kNumProtocols; ++p) {
    for (size_t m = 0; m < kNumMethods; ++m) {
      const Calls* calls = calls_[p][m].Peek();
      if (calls == nullptr) continue;
      for (size_t code = 0; code < kNumStatusCodes; ++code) {
        const uint64_t count = calls->by_code.Sum(code);
        if (count == 0) continue;
        page.Add(metrics::kRequests, {name_, kProtocolNames[p], kMethodNames[m], StatusCodeName(static_cast<StatusCode>(code))},
                 static_cast<double>(count));
        if (OriginalCounts(static_cast<Protocol>(p), m)) originals[code] += count;
      }
      if (calls->latency.count() == 0) continue;  // not timed, or no success
      page.Add(metrics::kRequestSeconds, {name_, kProtocolNames[p], kMethodNames[m]}, calls->latency);
      if (m >= std::size(kOriginalMethods)) continue;
      const auto& names = static_cast<Protocol>(p) == Protocol::kRest ? kOriginalVerbs : kOriginalMethods;
      page.Add(metrics::kTfRequestLatency, {name_, names[m], kEntrypoints[p]}, calls->latency);
    }
  }
  for (size_t m = 0; m < std::size(kOriginalMethods); ++m) {
    const Calls* rest = calls_[0][m].Peek();
    const Calls* grpc = calls_[1][m].Peek();
    if (rest == nullptr && grpc == nullptr) continue;
    Histogram both(metrics::kTfRuntimeLatency);
    if (rest != nullptr) both.Add(rest->run);
    if (grpc != nullptr) both.Add(grpc->run);
    if (both.count() == 0) continue;
    page.Add(metrics::kTfRuntimeLatency, {name_, kOriginalMethods[m], kOriginalRuntime}, both);
  }
  for (size_t code = 0; code < kNumStatusCodes; ++code) {
    if (originals[code] == 0) continue;
    page.Add(metrics::kTfRequestCount, {name_, StatusCodeName(static_cast<StatusCode>(code))}, static_cast<double>(originals[code]));
  }
  if (const Histogram* examples = examples_.Peek()) {
    page.Add(metrics::kTfExampleCounts, {name_}, *examples);
    page.Add(metrics::kTfExampleTotal, {name_}, static_cast<double>(examples->sum()));
  }
  for (const Stages* stages = stages_.load(std::memory_order_acquire); stages != nullptr; stages = stages->next) {
    for (size_t i = 0; i < kNumStages; ++i) page.Add(metrics::kStageSeconds, {name_, stages->signature, kStageNames[i]}, stages->times[i]);
  }
}

std::shared_ptr<ModelMetrics> RequestMetrics::Of(std::string_view model) {
  {
    const MutexLock lock(mutex_);
    if (const auto found = models_.find(model); found != models_.end()) return found->second;
  }
  if (!model.empty() && !servables_.HasModel(model)) return Of({});
  const MutexLock lock(mutex_);
  std::shared_ptr<ModelMetrics>& metrics = models_[std::string(model)];
  if (metrics == nullptr) metrics = std::make_shared<ModelMetrics>(std::string(model));
  return metrics;
}

void RequestMetrics::CountRefused(StatusCode why) {
  if (why == StatusCode::kUnauthenticated) return CountRejected(Rejection::kNoKey);
  CountRejected(why == StatusCode::kPermissionDenied ? Rejection::kNoPermission : Rejection::kRate);
}

void RequestMetrics::Collect(MetricsPage& page) {
  const std::vector<std::string> configured = servables_.ListModels();
  std::vector<std::shared_ptr<ModelMetrics>> models;
  {
    const MutexLock lock(mutex_);
    std::erase_if(models_, [&](const auto& entry) {
      if (entry.first.empty() || std::ranges::binary_search(configured, entry.first)) return false;
      entry.second->retired_ = true;
      return true;
    });
    for (const auto& [name, metrics] : models_) models.push_back(metrics);
  }
  for (const std::shared_ptr<ModelMetrics>& metrics : models) metrics->Collect(page);
  for (size_t p = 0; p < ModelMetrics::kNumProtocols; ++p) {
    page.Add(metrics::kInFlight, {kProtocolNames[p]}, static_cast<double>(std::max<int64_t>(static_cast<int64_t>(in_flight_.Sum(p)), 0)));
  }
  for (size_t i = 0; i < std::size(kRejectionNames); ++i) page.Add(metrics::kRejected, {kRejectionNames[i]}, static_cast<double>(rejected_.Sum(i)));
}

}  // namespace tflite_serving
