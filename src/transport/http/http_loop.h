// One event loop: a thread, the connections it serves, and what they share. A connection stays on the loop it was given to.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>

#include "transport/asio_types.h"
#include "transport/connection_loop.h"
#include "transport/deferred_sends.h"
#include "transport/http/http_exchange.h"
#include "transport/http/http_limits.h"
#include "transport/http/http_response_head.h"
#include "transport/http_call.h"
#include "transport/in_flight_bytes.h"
#include "transport/open_connections.h"
#include "transport/refusal_counts.h"
#include "transport/tls_port.h"

namespace tflite_serving {

class HttpConnection;

// Each section below says which threads may call it.
class HttpLoop final : public ConnectionLoop {
 public:
  // All of it must outlive the loop.
  HttpLoop(HttpHandler& handler, const HttpLimits& limits, const HttpHeaders& error_headers, TlsPort& tls, RefusalCounts& refusals,
           std::shared_ptr<InFlightBytes> in_flight);
  ~HttpLoop() override;

  // ConnectionLoop's. After Drain every response closes its connection; calls that handlers still hold stay valid after Abort. ----

  void Run() override;
  void Adopt(AcceptedSocket accepted) override;
  void CloseIdle() override;
  void Drain() override;
  void Abort() override;
  size_t num_connections() const override { return num_connections_.load(std::memory_order_relaxed); }
  asio::io_context& io() override { return *io_; }

  // The loop's thread, for connections ----

  HttpHandler& handler() const { return handler_; }
  const HttpLimits& limits() const { return limits_; }
  const HttpHeaders& error_headers() const { return error_headers_; }
  TlsPort& tls() const { return tls_; }
  RefusalCounts& refusals() const { return refusals_; }
  InFlightBytes& in_flight() const { return *in_flight_; }
  bool draining() const { return draining_; }
  DeferredSends& sends() { return sends_; }
  std::string_view Date();

  void Add(HttpConnection& connection);
  void Remove(HttpConnection& connection);

  std::unique_ptr<HttpExchange> TakeExchange();
  void GiveBack(std::unique_ptr<HttpExchange> exchange);

 private:
  void Open(AcceptedSocket accepted);
  // The deadline timer of all connections: wakes every sweep_interval_ while there are any.
  Coroutine<void> Sweep();

  HttpHandler& handler_;
  const HttpLimits& limits_;
  const HttpHeaders& error_headers_;
  TlsPort& tls_;
  RefusalCounts& refusals_;
  const std::shared_ptr<InFlightBytes> in_flight_;  // shared with the calls, too
  const std::chrono::milliseconds sweep_interval_;
  std::atomic<size_t> num_connections_ = 0;

  // First, since all that follows lives in it; shared with the calls, whose Finish may still be posting while the loop ends.
  const std::shared_ptr<asio::io_context> io_;
  const std::shared_ptr<FinishedCalls> finished_;
  DeferredSends sends_;
  std::optional<asio::executor_work_guard<Executor>> keep_running_;
  Timer sweep_timer_;
  bool sweeping_ = false;
  bool draining_ = false;
  bool aborting_ = false;
  HttpDate date_;

  struct PooledExchange {
    std::unique_ptr<HttpExchange> exchange;
    size_t bytes;
  };
  std::vector<PooledExchange> pool_;
  size_t pooled_bytes_ = 0;
  std::vector<HttpConnection*> connections_;  // each knows its place here
};

}  // namespace tflite_serving
