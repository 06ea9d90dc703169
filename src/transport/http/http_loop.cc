#include "transport/http/http_loop.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "transport/http/http_connection.h"

namespace tflite_serving {
namespace {

// Only this loop's thread runs the context; other threads post to it.
constexpr int kOneThread = 1;

std::chrono::milliseconds SweepInterval(const HttpLimits& limits) {
  const std::chrono::milliseconds shortest = std::min({limits.idle_timeout, limits.header_timeout, limits.progress_timeout});
  return std::clamp(shortest / 4, kMinSweepInterval, kMaxSweepInterval);
}

}  // namespace

HttpLoop::HttpLoop(HttpHandler& handler, const HttpLimits& limits, const HttpHeaders& error_headers, TlsPort& tls, RefusalCounts& refusals,
                   std::shared_ptr<InFlightBytes> in_flight)
    : handler_(handler),
      limits_(limits),
      error_headers_(error_headers),
      tls_(tls),
      refusals_(refusals),
      in_flight_(std::move(in_flight)),
      sweep_interval_(SweepInterval(limits)),
      io_(std::make_shared<asio::io_context>(kOneThread)),
      finished_(std::make_shared<FinishedCalls>(io_)),
      sends_(*io_),
      keep_running_(asio::make_work_guard(*io_)),
      sweep_timer_(*io_) {}

HttpLoop::~HttpLoop() = default;

void HttpLoop::Run() { io_->run(); }

void HttpLoop::Adopt(AcceptedSocket accepted) {
  num_connections_.fetch_add(1, std::memory_order_relaxed);
  asio::post(*io_, [this, accepted = std::move(accepted)]() mutable { Open(std::move(accepted)); });
}

void HttpLoop::Open(AcceptedSocket accepted) {
  std::optional<ByteStream> stream = aborting_ ? std::optional<ByteStream>() : tls_.Open(std::move(accepted), *io_);
  if (!stream) {
    num_connections_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  asio::co_spawn(*io_, HttpConnection::Serve(std::make_unique<HttpConnection>(*this, *std::move(stream))), asio::detached);
}

void HttpLoop::Add(HttpConnection& connection) {
  connection.set_index(connections_.size());
  connections_.push_back(&connection);
  if (sweeping_) return;
  sweeping_ = true;
  asio::co_spawn(*io_, Sweep(), asio::detached);
}

void HttpLoop::Remove(HttpConnection& connection) {
  HttpConnection* const last = connections_.back();
  connections_[connection.index()] = last;
  last->set_index(connection.index());
  connections_.pop_back();
  num_connections_.fetch_sub(1, std::memory_order_relaxed);
  if (draining_ && connections_.empty()) sweep_timer_.cancel();
}

Coroutine<void> HttpLoop::Sweep() {
  while (!connections_.empty()) {
    ErrorCode error;  // a cancelled wait is as good as one that has ended
    sweep_timer_.expires_after(sweep_interval_);
    co_await sweep_timer_.async_wait(asio::redirect_error(kAwait, error));
    const TimePoint now = Clock::Steady().Now();
    for (HttpConnection* connection : connections_) connection->CheckDeadline(now);
  }
  sweeping_ = false;
}

void HttpLoop::CloseIdle() {
  asio::post(*io_, [this] {
    const TimePoint since = Clock::Steady().Now() - kIdleGrace;
    for (HttpConnection* connection : connections_) connection->CloseIfIdle(since);
  });
}

void HttpLoop::Drain() {
  asio::post(*io_, [this] {
    draining_ = true;
    keep_running_.reset();
    const TimePoint now = Clock::Steady().Now();
    for (HttpConnection* connection : connections_) connection->Drain(now);
    if (connections_.empty()) sweep_timer_.cancel();
  });
}

void HttpLoop::Abort() {
  asio::post(*io_, [this] {
    aborting_ = true;
    for (HttpConnection* connection : connections_) connection->Abort();
  });
}

std::string_view HttpLoop::Date() { return date_.At(std::time(nullptr)); }

std::unique_ptr<HttpExchange> HttpLoop::TakeExchange() {
  if (pool_.empty()) return std::make_unique<HttpExchange>(finished_, limits_, in_flight_);
  PooledExchange taken = std::move(pool_.back());
  pool_.pop_back();
  pooled_bytes_ -= taken.bytes;
  return std::move(taken.exchange);
}

void HttpLoop::GiveBack(std::unique_ptr<HttpExchange> exchange) {
  if (pool_.size() >= kMaxPooledExchanges) return;
  size_t bytes = exchange->Recycle();
  if (pooled_bytes_ + bytes > kMaxPooledBytes || (bytes > kUncountedBytes && in_flight_->is_scarce())) {
    exchange->FreeBuffers();
    bytes = 0;
  }
  pooled_bytes_ += bytes;
  pool_.push_back({std::move(exchange), bytes});
}

}  // namespace tflite_serving
