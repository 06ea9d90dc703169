#include "transport/grpc/grpc_loop.h"

#include <algorithm>
#include <utility>

#include "transport/grpc/grpc_connection.h"
#include "transport/grpc/grpc_session.h"
#include "transport/grpc/grpc_stream.h"

namespace tflite_serving {
namespace {

// Only this loop's thread runs the context; other threads post to it.
constexpr int kOneThread = 1;

}  // namespace

GrpcLoop::GrpcLoop(const GrpcMethods& methods, const GrpcLimits& limits, TlsPort& tls, RefusalCounts& refusals,
                   std::shared_ptr<InFlightBytes> in_flight)
    : methods_(methods),
      limits_(limits),
      tls_(tls),
      refusals_(refusals),
      in_flight_(std::move(in_flight)),
      io_(std::make_shared<asio::io_context>(kOneThread)),
      finished_(std::make_shared<FinishedCalls>(io_)),
      sends_(*io_),
      keep_running_(asio::make_work_guard(*io_)),
      timer_(*io_) {}

GrpcLoop::~GrpcLoop() = default;

void GrpcLoop::Run() { io_->run(); }

void GrpcLoop::Adopt(AcceptedSocket accepted) {
  num_connections_.fetch_add(1, std::memory_order_relaxed);
  asio::post(*io_, [this, accepted = std::move(accepted)]() mutable { Open(std::move(accepted)); });
}

void GrpcLoop::Open(AcceptedSocket accepted) {
  std::optional<ByteStream> stream = aborting_ ? std::optional<ByteStream>() : tls_.Open(std::move(accepted), *io_);
  if (!stream) {
    num_connections_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  const auto connection = std::make_shared<GrpcConnection>(*this, *std::move(stream), Clock::Steady().Now());
  connection->set_index(connections_.size());
  connections_.push_back(connection);
  connection->Start();
  if (draining_) connection->Drain();
  WakeBy(Clock::Steady().Now() + kGrpcSweepInterval);
}

void GrpcLoop::Remove(GrpcConnection& connection) {
  connections_.back()->set_index(connection.index());
  std::swap(connections_[connection.index()], connections_.back());
  connections_.pop_back();
  num_connections_.fetch_sub(1, std::memory_order_relaxed);
  StopIfDrained();
}

void GrpcLoop::CloseIdle() {
  asio::post(*io_, [this] {
    const TimePoint since = Clock::Steady().Now() - kIdleGrace;
    for (size_t i = connections_.size(); i-- > 0;) connections_[i]->CloseIfIdle(since);  // backwards, since one that closes is replaced by the last
  });
}

void GrpcLoop::Drain() {
  asio::post(*io_, [this] {
    draining_ = true;
    for (size_t i = connections_.size(); i-- > 0;) connections_[i]->Drain();
    StopIfDrained();
  });
}

void GrpcLoop::Abort() {
  asio::post(*io_, [this] {
    aborting_ = true;
    for (size_t i = connections_.size(); i-- > 0;) connections_[i]->Close();
  });
}

void GrpcLoop::StopIfDrained() {
  if (!draining_ || !connections_.empty() || num_held_ > 0) return;
  keep_running_.reset();
  timer_.cancel();
}

// --- Time ---

void GrpcLoop::WakeBy(TimePoint time) {
  if (time < wake_at_) ArmTimer(Clock::Steady().Now(), time);
}

void GrpcLoop::ArmTimer(TimePoint now, TimePoint time) {
  wake_at_ = std::clamp(time, now + kMinGrpcSweepInterval, now + kGrpcSweepInterval);
  timer_.expires_at(wake_at_);  // ends the wait before, if there is one
  timer_.async_wait([this](const ErrorCode& error) {
    if (!error) Sweep();
  });
}

void GrpcLoop::Sweep() {
  const TimePoint now = Clock::Steady().Now();
  wake_at_ = kNoDeadline;
  TimePoint next = kNoDeadline;
  for (size_t i = connections_.size(); i-- > 0;) next = std::min(next, connections_[i]->CheckTime(now));
  if (!connections_.empty()) ArmTimer(now, std::min(next, wake_at_));
}

// --- Calls ---

GrpcExchange* GrpcLoop::TakeExchange() {
  if (pool_.empty()) return new GrpcExchange(*this, finished_, in_flight_);
  PooledExchange taken = std::move(pool_.back());
  pool_.pop_back();
  pooled_bytes_ -= taken.bytes;
  return taken.exchange.release();
}

void GrpcLoop::GiveBack(GrpcExchange* exchange) {
  std::unique_ptr<GrpcExchange> owned(exchange);
  if (pool_.size() >= kMaxPooledCalls) return;
  size_t bytes = owned->Recycle();
  if (pooled_bytes_ + bytes > kMaxPooledCallBytes || (bytes > kUncountedBytes && in_flight_->is_scarce())) {
    owned->FreeBuffers();
    bytes = 0;
  }
  pooled_bytes_ += bytes;
  pool_.push_back({std::move(owned), bytes});
}

void GrpcLoop::CountHeld(int change) {
  num_held_ += change;
  StopIfDrained();
}

void GrpcLoop::Resume(GrpcExchange& exchange) {
  if (exchange.session != nullptr) return exchange.session->OnFinished(exchange);
  GiveBack(&exchange);
  CountHeld(-1);
}

}  // namespace tflite_serving
