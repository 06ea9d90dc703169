#include "transport/http/http_exchange.h"

#include <utility>

#include "telemetry/trace_context.h"
#include "transport/http/http_coding.h"
#include "transport/http/http_connection.h"

namespace tflite_serving {

void HttpExchange::Compress() {
  std::string& body = response_.body;
  const bool is_text = response_.content_type == "application/json" || response_.content_type.starts_with("text/");
  if (min_gzip_bytes_ == 0 || body.size() < min_gzip_bytes_ || !is_text) return;
  response_.headers.emplace_back("Vary", "Accept-Encoding");
  if (!AcceptsGzip(fields_.accept_encoding)) return;
  if (body.size() > kMaxInlineGzipBytes && std::this_thread::get_id() == loop_thread_) return;
  std::string compressed;
  if (!Gzip(body, compressed)) return;
  body = std::move(compressed);
  response_.headers.emplace_back("Content-Encoding", "gzip");
}

void HttpExchange::Finish() {
  held_share_.Set(0);
  Compress();
  switch (state_.exchange(State::kFinished, std::memory_order_acq_rel)) {
    case State::kHandling:
    case State::kFinished:
      return;
    case State::kWaiting: {
      const std::shared_ptr<FinishedCalls> finished = finished_;
      return finished->Push(*this);
    }
    case State::kAbandoned:
      delete this;
      return;
  }
}

void HttpExchange::Resume() { connection_->ResumeAfterFinish(); }

void HttpExchange::Begin(HttpConnection& connection, std::string_view method, std::string_view target, TimePoint received_at) {
  connection_ = &connection;
  state_.store(State::kHandling, std::memory_order_relaxed);
  loop_thread_ = std::this_thread::get_id();
  cancellation_.Reset();
  request_line_.assign(method);
  request_line_ += target;
  const std::string_view line = request_line_;
  request_ = {.method = line.substr(0, method.size()),
              .target = line.substr(method.size()),
              .content_type = fields_.content_type,
              .accept = fields_.accept,
              .origin = fields_.origin,
              .traceparent = fields_.traceparent,
              .tracestate = fields_.tracestate,
              .authorization = fields_.authorization,
              .api_key = fields_.api_key,
              .body = {},
              .received_at = received_at};
  if (IsValidRequestId(fields_.request_id)) response_.ids.request_id = fields_.request_id;
}

void HttpExchange::Complete() { request_.body = body_.Padded(); }

bool HttpExchange::TryWait() {
  State expected = State::kHandling;
  return state_.compare_exchange_strong(expected, State::kWaiting, std::memory_order_acq_rel);
}

bool HttpExchange::TryAbandon() {
  State expected = State::kWaiting;
  return state_.compare_exchange_strong(expected, State::kAbandoned, std::memory_order_acq_rel);
}

size_t HttpExchange::Recycle() {
  request_ = {};
  fields_.Clear();
  body_.Clear();
  if (body_.capacity() > kMaxPooledBodyBytes) body_.Free();
  if (response_.body.capacity() > kMaxPooledBodyBytes) std::string().swap(response_.body);
  response_.Clear();
  return body_.capacity() + response_.body.capacity();
}

void HttpExchange::FreeBuffers() {
  body_.Free();
  std::string().swap(response_.body);
}

}  // namespace tflite_serving
