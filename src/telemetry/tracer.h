// Traces of requests for OpenTelemetry: which are sampled, and their way to a collector (OTLP over HTTP, as protobuf) without any request waiting for
// it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "http_client/http_client.h"
#include "telemetry/metrics.h"
#include "telemetry/request_span.h"
#include "telemetry/trace_context.h"
#include "telemetry/tracer_options.h"

namespace tflite_serving {

// Thread-safe.
class Tracer {
 public:
  // INVALID_ARGUMENT for a ratio, an endpoint or headers that cannot be; it shows no secrets.
  static StatusOr<std::unique_ptr<Tracer>> Create(TracerOptions options);
  // Sends what is queued, without retries, for at most flush_timeout.
  ~Tracer();
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  // The context of a request, whose client may have sent one.
  TraceContext ContextOf(const std::optional<TraceContext>& parent) const;
  // As its parent is; without one, the ratio decides by the last 56 bits of the id, so that all who go by the same ratio decide the same.
  bool ShouldSample(const std::optional<TraceContext>& parent, const TraceId& id) const;

  // Never waits for the network: what the queue has no room for is dropped.
  void Export(RequestSpan request);

  // Spans by what became of them. dropped: the queue was full; failed: the collector did not take them.
  struct Counts {
    uint64_t exported = 0;
    uint64_t dropped = 0;
    uint64_t failed = 0;
  };
  Counts counts() const { return {.exported = exported_.value(), .dropped = dropped_.value(), .failed = failed_.value()}; }

 private:
  Tracer(TracerOptions options, std::unique_ptr<HttpClient> client);

  void Work();
  // Waits until it is time to send some; empty at the end.
  std::vector<RequestSpan> NextBatch();
  void Send(const std::vector<RequestSpan>& batch);
  // False if there is to be no other attempt: the end has come before the wait. When it comes meanwhile, the attempt is made at once.
  bool WaitToRetry(std::chrono::milliseconds delay);
  void Failed(size_t num_spans, std::string_view why);

  const TracerOptions options_;
  const uint64_t sampled_from_;  // the least 56 bits that are sampled
  const std::unique_ptr<HttpClient> client_;
  const HttpClientHeaders headers_;  // of each request to the collector
  Counter exported_, dropped_, failed_;
  Mutex mutex_;
  CondVar wake_;
  std::deque<RequestSpan> queue_ TFLS_GUARDED_BY(mutex_);
  size_t num_queued_spans_ TFLS_GUARDED_BY(mutex_) = 0;
  bool stopping_ TFLS_GUARDED_BY(mutex_) = false;
  TimePoint quiet_until_{};  // the exporter's: no line in the log before
  std::jthread exporter_;    // last: it uses the members above
};

}  // namespace tflite_serving
