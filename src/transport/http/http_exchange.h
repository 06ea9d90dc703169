// One request and its response with the memory of both: the HttpCall that a handler holds.
//
// An exchange belongs to a connection from the end of the request's head until the response is written, and to its loop's pool between requests, so
// that idle connections hold no buffers. It outlives its connection in one case: the server gave up waiting for a handler that still holds the call.
// Then it belongs to nobody, and the handler's Finish deletes it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>

#include "transport/asio_types.h"
#include "transport/byte_buffer.h"
#include "transport/finished_calls.h"
#include "transport/http/http_limits.h"
#include "transport/http/http_request_parser.h"
#include "transport/http_call.h"

namespace tflite_serving {

class HttpConnection;

// Thread-compatible, except that Finish may meet TryWait and TryAbandon, which are called on the loop's thread.
class HttpExchange final : public HttpCall, private FinishedCall {
 public:
  HttpExchange(std::shared_ptr<FinishedCalls> finished, const HttpLimits& limits, std::shared_ptr<InFlightBytes> in_flight)
      : finished_(std::move(finished)), in_flight_(std::move(in_flight)), min_gzip_bytes_(limits.min_gzip_bytes), body_(in_flight_.get()) {}

  const HttpRequest& request() const override { return request_; }
  HttpResponse& response() override { return response_; }
  const Cancellation& cancellation() const override { return cancellation_; }
  Status Hold(size_t bytes) override { return held_share_.TrySet(bytes) ? OkStatus() : NoRoomInFlight(); }
  void Finish() override;

  // The loop's side, on its thread ----

  // Filled before Begin.
  HttpFields& fields() { return fields_; }
  // Begins a request for `connection`: copies method and target, since what they point into is about to be overwritten.
  void Begin(HttpConnection& connection, std::string_view method, std::string_view target, TimePoint received_at);
  ByteBuffer& body() { return body_; }
  std::string& head() { return head_; }
  // The body is complete, and its memory not null: a handler may be given the call.
  void Complete();

  // The client has gone.
  void Cancel() { cancellation_.Cancel(); }

  // After Handle: whether the response is complete already.
  bool finished() const { return state_.load(std::memory_order_acquire) == State::kFinished; }
  // If not. True: Finish will resume the connection; false: Finish came in this moment.
  bool TryWait();
  // While waiting. True: Finish will delete the exchange and do nothing else; false: Finish has come and the connection is about to be resumed.
  bool TryAbandon();

  // Forgets the request and the response. Keeps their memory where it is not more than kMaxPooledBodyBytes each; returns its size.
  size_t Recycle();
  void FreeBuffers();

 private:
  enum class State { kHandling, kWaiting, kFinished, kAbandoned };

  // Compresses the response's body if that is to be.
  void Compress();
  void Resume() override;

  const std::shared_ptr<FinishedCalls> finished_;
  const std::shared_ptr<InFlightBytes> in_flight_;
  InFlightShare held_share_{in_flight_.get()};
  const size_t min_gzip_bytes_;
  std::thread::id loop_thread_;
  HttpConnection* connection_ = nullptr;
  std::atomic<State> state_ = State::kHandling;
  HttpRequest request_;
  HttpResponse response_;
  Cancellation cancellation_;
  std::string request_line_;  // method and target
  HttpFields fields_;
  ByteBuffer body_;
  std::string head_;  // of the response
};

}  // namespace tflite_serving
