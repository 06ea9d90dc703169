// One event loop of the gRPC server: a thread, the connections it serves, and what they share. A connection stays on the loop it was given to.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>

#include "base/clock.h"
#include "transport/asio_types.h"
#include "transport/connection_loop.h"
#include "transport/deferred_sends.h"
#include "transport/grpc/grpc_exchange.h"
#include "transport/grpc/grpc_input.h"
#include "transport/grpc/grpc_limits.h"
#include "transport/grpc/grpc_methods.h"
#include "transport/in_flight_bytes.h"
#include "transport/open_connections.h"
#include "transport/refusal_counts.h"
#include "transport/tls_port.h"

namespace tflite_serving {

class GrpcConnection;

// Each section below says which threads may call it.
class GrpcLoop final : public ConnectionLoop {
 public:
  // All of it must outlive the loop.
  GrpcLoop(const GrpcMethods& methods, const GrpcLimits& limits, TlsPort& tls, RefusalCounts& refusals, std::shared_ptr<InFlightBytes> in_flight);
  ~GrpcLoop() override;

  // ConnectionLoop's; returns only when every handler has finished its calls too. ----

  void Run() override;
  void Adopt(AcceptedSocket accepted) override;
  void CloseIdle() override;
  void Drain() override;
  void Abort() override;
  size_t num_connections() const override { return num_connections_.load(std::memory_order_relaxed); }
  asio::io_context& io() override { return *io_; }

  // The loop's thread, for connections and sessions ----

  const GrpcMethods& methods() const { return methods_; }
  const GrpcLimits& limits() const { return limits_; }
  TlsPort& tls() const { return tls_; }
  RefusalCounts& refusals() const { return refusals_; }
  const std::shared_ptr<asio::io_context>& shared_io() const { return io_; }
  // What a connection reads with when more is there than it has room for; for use within one event.
  GrpcInput& input() { return input_; }
  DeferredSends& sends() { return sends_; }
  // CheckTime of every connection is called soon after `time`.
  void WakeBy(TimePoint time);
  void Remove(GrpcConnection& connection);

  GrpcExchange* TakeExchange();
  void GiveBack(GrpcExchange* exchange);
  // Handlers hold so many calls more.
  void CountHeld(int change);
  // A handler has called Finish on another thread.
  void Resume(GrpcExchange& exchange);

 private:
  void Open(AcceptedSocket accepted);
  void Sweep();
  void ArmTimer(TimePoint now, TimePoint time);
  // Lets Run return if there is nothing to wait for.
  void StopIfDrained();

  const GrpcMethods& methods_;
  const GrpcLimits& limits_;
  TlsPort& tls_;
  RefusalCounts& refusals_;
  const std::shared_ptr<InFlightBytes> in_flight_;  // shared with the calls, too
  std::atomic<size_t> num_connections_ = 0;

  // First, since all that follows lives in it; shared with the calls, whose Finish may still be posting while the loop ends.
  const std::shared_ptr<asio::io_context> io_;
  const std::shared_ptr<FinishedCalls> finished_;
  DeferredSends sends_;
  std::optional<asio::executor_work_guard<Executor>> keep_running_;
  Timer timer_;
  TimePoint wake_at_ = kNoDeadline;
  bool draining_ = false;
  bool aborting_ = false;
  int num_held_ = 0;
  GrpcInput input_{kGrpcBulkInputBytes};

  struct PooledExchange {
    std::unique_ptr<GrpcExchange> exchange;
    size_t bytes;
  };
  std::vector<PooledExchange> pool_;
  size_t pooled_bytes_ = 0;
  std::vector<std::shared_ptr<GrpcConnection>> connections_;  // each knows its place here
};

}  // namespace tflite_serving
