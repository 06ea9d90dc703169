// What is noted of a request while it is on its way, and who is told of it at its end.
//
// A request's time has these stages: queue (for a worker), decode, wait (for a batch, an interpreter or a process), run, encode. In metrics the two
// waits are one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "api/access_log.h"
#include "api/request_metrics.h"
#include "api/request_sampler.h"
#include "base/clock.h"
#include "base/status.h"
#include "servable/servable.h"
#include "telemetry/tracer.h"
#include "transport/grpc_call.h"
#include "transport/http_call.h"

namespace tflite_serving {

// Borrowed, and must outlive the services that are given them. Null: it is not there.
struct RequestObservers {
  const Clock* clock = &Clock::Steady();
  RequestMetrics* metrics = nullptr;
  AccessLog* access_log = nullptr;
  Tracer* tracer = nullptr;
  RequestSampler* sampler = nullptr;

  bool any() const { return metrics != nullptr || access_log != nullptr || tracer != nullptr || sampler != nullptr; }
};

// Tells of a call that is not timed, as all but inference are. It must not have been finished.
void ReportCall(const RequestObservers& observers, HttpCall& call, ApiMethod method, std::string_view model, StatusCode code);
void ReportCall(const RequestObservers& observers, GrpcCall& call, ApiMethod method, std::string_view model, StatusCode code, size_t reply_bytes);

// The same of a call that AccessControl::Check refused with `status`, whatever it asks for; also counted as a rejection.
void ReportRefused(const RequestObservers& observers, HttpCall& call, const Status& status);
void ReportRefused(const RequestObservers& observers, GrpcCall& call, const Status& status);

// One inference request, from Begin to End; used again by the next one of its task, for its memory. Does nothing where nobody observes.
// Thread-compatible.
class RequestRecord {
 public:
  // `observers` is borrowed. The call may be given an id of its own.
  void Begin(const RequestObservers& observers, HttpCall& call, ApiMethod method);
  void Begin(const RequestObservers& observers, GrpcCall& call, ApiMethod method);
  // Which model it is for, configured or not.
  void SetModel(std::string_view name);
  // Which version answers.
  void SetVersion(int64_t version) { summary_.version = version; }
  // It waits for a worker from now on, and then it has one; more than once, or not at all.
  void Queued();
  void Started();
  // For RunRequest.
  RunTimeline* run_times() { return observers_ != nullptr ? &run_ : nullptr; }
  void SetExamples(size_t count) { num_examples_ = count; }
  // Logs the request as `make` has it, if it is one of those that are; a failure is counted there. Thread-safe between SetModel and End.
  template <typename Make>
  void LogSample(Make make) const {
    if (sample_ == nullptr) return;
    auto log = make();
    if (log.ok()) observers_->sampler->Log(sample_, *std::move(log));
  }
  // No thread would take it.
  void Rejected() {
    if (observers_ != nullptr && observers_->metrics != nullptr) observers_->metrics->CountRejected(RequestMetrics::Rejection::kWorkerQueue);
  }
  // Its answer of `reply_bytes` is written, and the call not finished. `signature` is the one that was run; empty: none, or several.
  void End(std::string_view signature, StatusCode code, size_t reply_bytes);
  void End(const Signature* signature, StatusCode code, size_t reply_bytes) {
    End(signature != nullptr ? std::string_view(signature->key) : std::string_view(), code, reply_bytes);
  }

 private:
  void Begin(const RequestObservers& observers, Protocol protocol, ApiMethod method, CallIds& ids, size_t request_bytes);
  // Gives the call a span if it is to be traced, which its parent's context says, or the tracer.
  void BeginSpan(std::string_view traceparent, std::string_view tracestate, CallIds& ids);
  void EndSpan(TimePoint now);

  const RequestObservers* observers_ = nullptr;  // null: between requests, or there are none
  RequestSummary summary_;
  std::shared_ptr<ModelMetrics> model_;                   // of the request before, until SetModel
  std::shared_ptr<const RequestSampler::Target> sample_;  // null: it is not logged
  std::string model_name_;
  bool has_model_ = false;
  size_t num_examples_ = 0;
  TimePoint arrived_{};
  TimePoint queued_at_{};
  TimePoint started_{};                // when a worker had it last; the epoch: it was not queued
  std::unique_ptr<RequestSpan> span_;  // null: the request is not traced
  RunTimeline run_;
};

}  // namespace tflite_serving
