#include "telemetry/tracer.h"

#include <algorithm>
#include <utility>

#include "base/thread.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;

constexpr int kMaxAttempts = 5;
constexpr std::chrono::seconds kMaxRetryDelay{30};
constexpr std::chrono::minutes kLogInterval{1};
constexpr size_t kMaxTextBytes = 256;  // of what may come from a client
constexpr uint64_t kNumSampleValues = uint64_t{1} << 56;

// 0: there was no answer. The others are those that OTLP has for it.
bool IsWorthARetry(long http_status) {
  return http_status == 0 || http_status == 429 || http_status == 502 || http_status == 503 || http_status == 504;
}

// Up to a quarter more or less, lest all servers come back at once.
milliseconds WithJitter(milliseconds delay) { return delay * static_cast<int64_t>(768 + NonzeroRandom() % 512) / 1024; }

HttpClientHeaders HeadersOf(const TracerOptions& options) {
  HttpClientHeaders headers = {{"Content-Type", "application/x-protobuf"}};
  headers.insert(headers.end(), options.headers.begin(), options.headers.end());
  return headers;
}

std::string Cut(std::string text) { return text.size() <= kMaxTextBytes ? std::move(text) : text.substr(0, kMaxTextBytes); }

}  // namespace

StatusOr<std::unique_ptr<Tracer>> Tracer::Create(TracerOptions options) {
  if (!(options.sample_ratio >= 0 && options.sample_ratio <= 1)) {
    return InvalidArgumentError(fmt::format("the ratio of sampled requests is {}, expected 0 to 1", options.sample_ratio));
  }
  TFLS_ASSIGN_OR_RETURN(auto client, HttpClient::Create("traces", {}));
  if (client->PlaceOf(options.endpoint).empty()) return InvalidArgumentError("the endpoint for traces is not a URL of http:// or https://");
  for (const auto& [name, value] : options.headers) {
    if (!IsHttpHeader(name, value)) return InvalidArgumentError("a header for the collector of traces is not one that HTTP can carry");
  }
  options.resource.emplace(options.resource.begin(), "service.name", options.service_name);
  return std::unique_ptr<Tracer>(new Tracer(std::move(options), std::move(client)));
}

Tracer::Tracer(TracerOptions options, std::unique_ptr<HttpClient> client)
    : options_(std::move(options)),
      sampled_from_(kNumSampleValues - static_cast<uint64_t>(options_.sample_ratio * static_cast<double>(kNumSampleValues))),
      client_(std::move(client)),
      headers_(HeadersOf(options_)),
      exporter_(StartThread("trace_export", [this] { Work(); })) {}

Tracer::~Tracer() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  client_->EndBy(Clock::Steady().Now() + options_.flush_timeout);
  wake_.NotifyOne();
}

TraceContext Tracer::ContextOf(const std::optional<TraceContext>& parent) const {
  const TraceId id = parent ? parent->trace_id : MakeTraceId();
  return {.trace_id = id, .span_id = MakeSpanId(), .sampled = ShouldSample(parent, id)};
}

bool Tracer::ShouldSample(const std::optional<TraceContext>& parent, const TraceId& id) const {
  if (parent) return parent->sampled;
  uint64_t bits = 0;
  for (size_t i = id.size() - 7; i < id.size(); ++i) bits = bits << 8 | id[i];
  return bits >= sampled_from_;
}

void Tracer::Export(RequestSpan request) {
  request.model = Cut(std::move(request.model));
  request.signature = Cut(std::move(request.signature));
  if (!request.status.ok()) request.status = Status(request.status.code(), Cut(request.status.message()));
  const size_t num_spans = request.num_spans();
  bool wakes = false;
  {
    const MutexLock lock(mutex_);
    if (num_queued_spans_ + num_spans > options_.max_queued_spans) return dropped_.Add(num_spans);
    wakes = queue_.empty() || (num_queued_spans_ < options_.batch_spans && num_queued_spans_ + num_spans >= options_.batch_spans);
    num_queued_spans_ += num_spans;
    queue_.push_back(std::move(request));
  }
  if (wakes) wake_.NotifyOne();
}

void Tracer::Work() {
  for (std::vector<RequestSpan> batch = NextBatch(); !batch.empty(); batch = NextBatch()) Send(batch);
}

std::vector<RequestSpan> Tracer::NextBatch() {
  const MutexLock lock(mutex_);
  while (queue_.empty() && !stopping_) wake_.Wait(mutex_);
  const TimePoint due = Clock::Steady().Now() + options_.export_interval;
  while (num_queued_spans_ < options_.batch_spans && !stopping_ && wake_.WaitUntil(mutex_, due)) {
  }
  std::vector<RequestSpan> batch;
  for (size_t num_spans = 0; !queue_.empty() && num_spans < options_.batch_spans; queue_.pop_front()) {
    num_spans += queue_.front().num_spans();
    num_queued_spans_ -= queue_.front().num_spans();
    batch.push_back(std::move(queue_.front()));
  }
  return batch;
}

void Tracer::Send(const std::vector<RequestSpan>& batch) {
  size_t num_spans = 0;
  for (const RequestSpan& request : batch) num_spans += request.num_spans();
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch() - Clock::Steady().Now().time_since_epoch();
  const std::string message = EncodeExportRequest(options_.resource, batch, since_epoch);
  milliseconds delay = options_.first_retry_delay;
  for (int attempt = 1;; ++attempt, delay *= 2) {
    const HttpClientResponse answer =
        client_->Send({.method = "POST", .url = options_.endpoint, .headers = headers_, .body = message}, Clock::Steady().Now() + options_.timeout);
    if (answer.status / 100 == 2) {
      const ExportAnswer partial = DecodeExportResponse(answer.body);
      const size_t rejected = std::min<uint64_t>(partial.rejected_spans, num_spans);
      exported_.Add(num_spans - rejected);
      if (rejected > 0) Failed(rejected, "rejected: " + Cut(partial.message));
      return;
    }
    const milliseconds asked_for = std::min(answer.retry_after, kMaxRetryDelay);
    if (!IsWorthARetry(answer.status) || attempt == kMaxAttempts || !WaitToRetry(asked_for > milliseconds(0) ? asked_for : WithJitter(delay))) {
      return Failed(num_spans, answer.status == 0 ? answer.error : fmt::format("HTTP status {}", answer.status));
    }
  }
}

bool Tracer::WaitToRetry(milliseconds delay) {
  const MutexLock lock(mutex_);
  if (stopping_) return false;
  const TimePoint due = Clock::Steady().Now() + delay;
  while (!stopping_ && wake_.WaitUntil(mutex_, due)) {
  }
  return true;
}

void Tracer::Failed(size_t num_spans, std::string_view why) {
  failed_.Add(num_spans);
  const TimePoint now = Clock::Steady().Now();
  if (now < quiet_until_) return;
  quiet_until_ = now + kLogInterval;
  TFLS_WARNING("The collector of traces at {} did not take {} span(s): {}", client_->PlaceOf(options_.endpoint), num_spans, why);
}

}  // namespace tflite_serving
