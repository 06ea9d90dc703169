#include "api/request_record.h"

#include <optional>
#include <utility>

#include "telemetry/trace_context.h"

namespace tflite_serving {
namespace {

// Without a log of requests nobody could look one up that we made.
void GiveId(const RequestObservers& observers, CallIds& ids) {
  if (observers.access_log != nullptr && ids.request_id.empty()) ids.request_id = MakeRequestId();
}

void Report(const RequestObservers& observers, CallIds& ids, const RequestSummary& call) {
  if (observers.metrics != nullptr) observers.metrics->Count(call.protocol, call.method, call.model, call.code);
  if (observers.access_log == nullptr) return;
  GiveId(observers, ids);
  RequestSummary summary = call;
  summary.id = ids.request_id;
  summary.client = ids.client;
  observers.access_log->Write(summary);
}

}  // namespace

void ReportCall(const RequestObservers& observers, HttpCall& call, ApiMethod method, std::string_view model, StatusCode code) {
  Report(observers, call.response().ids,
         {.protocol = Protocol::kRest,
          .method = method,
          .model = model,
          .code = code,
          .request_bytes = call.request().body.size(),
          .reply_bytes = call.response().body.size()});
}

void ReportCall(const RequestObservers& observers, GrpcCall& call, ApiMethod method, std::string_view model, StatusCode code, size_t reply_bytes) {
  Report(observers, call.ids(),
         {.protocol = Protocol::kGrpc,
          .method = method,
          .model = model,
          .code = code,
          .request_bytes = call.request_size_bytes(),
          .reply_bytes = reply_bytes});
}

void ReportRefused(const RequestObservers& observers, HttpCall& call, const Status& status) {
  if (observers.metrics != nullptr) observers.metrics->CountRefused(status.code());
  ReportCall(observers, call, ApiMethod::kRefused, {}, status.code());
}

void ReportRefused(const RequestObservers& observers, GrpcCall& call, const Status& status) {
  if (observers.metrics != nullptr) observers.metrics->CountRefused(status.code());
  ReportCall(observers, call, ApiMethod::kRefused, {}, status.code(), 0);
}

void RequestRecord::Begin(const RequestObservers& observers, HttpCall& call, ApiMethod method) {
  Begin(observers, Protocol::kRest, method, call.response().ids, call.request().body.size());
  if (observers.tracer != nullptr) BeginSpan(call.request().traceparent, call.request().tracestate, call.response().ids);
}

void RequestRecord::Begin(const RequestObservers& observers, GrpcCall& call, ApiMethod method) {
  Begin(observers, Protocol::kGrpc, method, call.ids(), call.request_size_bytes());
  if (observers.tracer != nullptr) BeginSpan(call.metadata("traceparent"), call.metadata("tracestate"), call.ids());
}

void RequestRecord::Begin(const RequestObservers& observers, Protocol protocol, ApiMethod method, CallIds& ids, size_t request_bytes) {
  observers_ = observers.any() ? &observers : nullptr;
  if (observers_ == nullptr) return;
  GiveId(observers, ids);
  summary_ = {.protocol = protocol, .method = method, .id = ids.request_id, .client = ids.client, .request_bytes = request_bytes, .was_timed = true};
  has_model_ = false;
  queued_at_ = {};
  started_ = {};
  span_.reset();
  sample_.reset();
  num_examples_ = 0;
  arrived_ = observers.clock->Now();
  run_ = {};
  if (observers.metrics != nullptr) observers.metrics->AddInFlight(protocol, 1);
}

void RequestRecord::BeginSpan(std::string_view traceparent, std::string_view tracestate, CallIds& ids) {
  const std::optional<TraceContext> parent = ParseTraceParent(traceparent);
  const TraceContext context = observers_->tracer->ContextOf(parent);
  if (parent || context.sampled) ids.traceparent = FormatTraceParent(context);
  if (!context.sampled) return;
  span_ = std::make_unique<RequestSpan>();
  span_->context = context;
  if (parent) span_->parent = parent->span_id;
  if (parent && IsValidTraceState(tracestate)) span_->trace_state = tracestate;
}

void RequestRecord::EndSpan(TimePoint now) {
  const std::unique_ptr<RequestSpan> span = std::move(span_);
  span->name = ApiMethodName(summary_.method);
  span->protocol = ProtocolName(summary_.protocol);
  span->begin = arrived_;
  span->end = now;
  const TimePoint decoding = started_ != TimePoint{} ? started_ : arrived_;
  if (started_ != TimePoint{}) span->stage(SpanStage::kQueue) = {started_ - summary_.queue, started_};
  if (summary_.has_run) {
    span->stage(SpanStage::kDecode) = {decoding, run_.given};
    if (run_.began > run_.given) span->stage(SpanStage::kWait) = {run_.given, run_.began};
    span->stage(SpanStage::kRun) = {run_.began, run_.ended};
    span->stage(SpanStage::kEncode) = {run_.ended, now};
  }
  span->model = summary_.model;
  if (summary_.version != 0) span->version = summary_.version;
  span->signature = summary_.signature;
  span->request_id = summary_.id;
  span->request_bytes = summary_.request_bytes;
  span->reply_bytes = summary_.reply_bytes;
  span->status = Status(summary_.code, "");
  observers_->tracer->Export(std::move(*span));
}

void RequestRecord::SetModel(std::string_view name) {
  if (observers_ == nullptr) return;
  has_model_ = true;
  model_name_.assign(name);
  if (observers_->sampler != nullptr) sample_ = observers_->sampler->Choose(name);
  if (observers_->metrics == nullptr) return;
  if (model_ == nullptr || model_->name() != name || model_->retired()) model_ = observers_->metrics->Of(name);
}

void RequestRecord::Queued() {
  if (observers_ != nullptr) queued_at_ = observers_->clock->Now();
}

void RequestRecord::Started() {
  if (observers_ == nullptr || queued_at_ == TimePoint{}) return;
  started_ = observers_->clock->Now();
  summary_.queue += started_ - queued_at_;
  queued_at_ = {};
}

void RequestRecord::End(std::string_view signature, StatusCode code, size_t reply_bytes) {
  if (observers_ == nullptr) return;
  if (!has_model_) SetModel({});
  summary_.model = model_name_;
  summary_.signature = signature;
  summary_.code = code;
  summary_.reply_bytes = reply_bytes;
  const TimePoint now = observers_->clock->Now();
  summary_.total = now - arrived_;
  summary_.has_run = run_.ended != TimePoint{};
  if (summary_.has_run) {
    summary_.decode = run_.given - arrived_ - summary_.queue;
    summary_.wait = run_.began - run_.given;
    summary_.run = run_.ended - run_.began;
    summary_.encode = now - run_.ended;
  }
  if (observers_->metrics != nullptr) {
    model_->Count(summary_.protocol, summary_.method, code);
    if (code == StatusCode::kOk) {
      model_->Observe(summary_.protocol, summary_.method, summary_.has_run ? signature : std::string_view(),
                      {.total = summary_.total,
                       .queue = summary_.queue + summary_.wait,
                       .decode = summary_.decode,
                       .run = summary_.run,
                       .encode = summary_.encode});
      if (num_examples_ > 0) model_->ObserveExamples(num_examples_);
    }
    observers_->metrics->AddInFlight(summary_.protocol, ~uint64_t{0});
  }
  if (observers_->access_log != nullptr) observers_->access_log->Write(summary_);
  if (span_ != nullptr) EndSpan(now);
  observers_ = nullptr;
}

}  // namespace tflite_serving
