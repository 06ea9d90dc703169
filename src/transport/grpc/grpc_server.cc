#include "transport/grpc/grpc_server.h"

#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <functional>
#include <utility>

#include <fmt/format.h>
#include <boost/system/system_error.hpp>

#include "base/unique_fd.h"
#include "telemetry/log.h"
#include "transport/event_loops.h"
#include "transport/grpc/grpc_loop.h"
#include "transport/grpc/grpc_methods.h"
#include "transport/tcp_listener.h"
#include "transport/tls_port.h"
#include "transport/unix_listener.h"

namespace tflite_serving {
namespace {

// A channel argument that has a meaning here, the least value that it may have, and what it sets. INT_MAX is gRPC's "without end".
struct ChannelArgument {
  const char* name;
  int min;
  void (*set)(GrpcLimits& limits, int value);
};

std::chrono::milliseconds Duration(int ms) { return ms == INT_MAX ? std::chrono::milliseconds::max() : std::chrono::milliseconds(ms); }

constexpr ChannelArgument kChannelArguments[] = {
    {"grpc.max_concurrent_streams", 1, [](GrpcLimits& limits, int value) { limits.max_concurrent_streams = static_cast<uint32_t>(value); }},
    {"grpc.max_metadata_size", 1, [](GrpcLimits& limits, int value) { limits.max_metadata_bytes = static_cast<uint32_t>(value); }},
    {"grpc.max_receive_message_length", -1,
     [](GrpcLimits& limits, int value) { limits.max_receive_message_bytes = static_cast<size_t>(value < 0 ? INT_MAX : value); }},
    {"grpc.keepalive_time_ms", 1, [](GrpcLimits& limits, int value) { limits.keepalive_time = Duration(value); }},
    {"grpc.keepalive_timeout_ms", 1, [](GrpcLimits& limits, int value) { limits.keepalive_timeout = Duration(value); }},
    {"grpc.max_connection_idle_ms", 1, [](GrpcLimits& limits, int value) { limits.max_connection_idle = Duration(value); }},
    {"grpc.max_connection_age_ms", 1, [](GrpcLimits& limits, int value) { limits.max_connection_age = Duration(value); }},
    {"grpc.max_connection_age_grace_ms", 0, [](GrpcLimits& limits, int value) { limits.max_connection_age_grace = Duration(value); }},
};

}  // namespace

void SetChannelArguments(const GrpcChannelArgumentMap& arguments, GrpcLimits& limits) {
  for (const auto& [name, value] : arguments) {
    const auto* const known = std::ranges::find_if(kChannelArguments, [&key = name](const ChannelArgument& one) { return key == one.name; });
    if (known == std::end(kChannelArguments)) {
      TFLS_WARNING("the gRPC channel argument {} has no meaning for this server", name);
      continue;
    }
    const int* const number = std::get_if<int>(&value);
    if (number == nullptr || *number < known->min) {
      TFLS_WARNING("the gRPC channel argument {} is ignored: it must be an integer of at least {}", name, known->min);
      continue;
    }
    known->set(limits, *number);
  }
}

class GrpcServer::Impl {
 public:
  Impl(GrpcServerOptions options, GrpcMethods methods, int port, std::vector<UniqueFd> listening)
      : options_(std::move(options)),
        methods_(std::move(methods)),
        port_(port),
        tls_("gRPC", TlsProtocol::kGrpc, options_.tls),
        connections_(options_.max_connections_per_address),
        loops_("gRPC", "grpc_io", MakeLoops(), std::move(listening), options_.max_connections, connections_) {}

  int port() const { return port_; }
  const TlsPort& tls() const { return tls_; }
  const RefusalCounts& refusals() const { return refusals_; }
  const OpenConnections& connections() const { return connections_; }
  EventLoops& loops() { return loops_; }

  void Shutdown(TimePoint deadline) {
    // First: while calls are finished, the next server may already take the path.
    RemoveUnixSocket(std::exchange(options_.unix_socket_path, {}));
    loops_.Shutdown(deadline);
  }

 private:
  std::vector<std::unique_ptr<ConnectionLoop>> MakeLoops() {
    std::vector<std::unique_ptr<ConnectionLoop>> loops;
    for (int i = 0; i < options_.num_threads; ++i)
      loops.push_back(std::make_unique<GrpcLoop>(methods_, options_.limits, tls_, refusals_, options_.in_flight));
    return loops;
  }

  GrpcServerOptions options_;
  const GrpcMethods methods_;
  const int port_;
  TlsPort tls_;
  RefusalCounts refusals_;
  OpenConnections connections_;
  EventLoops loops_;
};

StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Create(GrpcServerOptions options, const std::vector<GrpcMethod>& methods,
                                                         const std::vector<GrpcStreamMethod>& stream_methods) {
  if (options.num_threads < 1) return InvalidArgumentError(fmt::format("the gRPC server needs at least 1 thread, got {}", options.num_threads));
  if (options.in_flight == nullptr) options.in_flight = std::make_shared<InFlightBytes>();
  if (options.max_connections == 0) options.max_connections = ConnectionsByDescriptorLimit();
  TFLS_ASSIGN_OR_RETURN(GrpcMethods table, GrpcMethods::Create(methods, stream_methods));
  std::vector<UniqueFd> listening;
  int port = 0;
  if (options.port != 0) {
    if (options.port != kAnyFreePort && (options.port < 0 || options.port > UINT16_MAX)) {
      return InvalidArgumentError(fmt::format("port {} is not within 0..65535", options.port));
    }
    const std::vector<std::string> addresses = options.bind_address.empty() ? std::vector<std::string>() : std::vector{options.bind_address};
    const auto wanted = static_cast<uint16_t>(options.port == kAnyFreePort ? 0 : options.port);
    TFLS_ASSIGN_OR_RETURN(std::vector<TcpListener> listeners, ListenOnTcp(addresses, wanted));
    port = listeners.front().port;
    listening = ReleaseSockets(listeners);
  }
  if (!options.unix_socket_path.empty()) {
    TFLS_ASSIGN_OR_RETURN(UniqueFd socket, ListenOnUnixSocket(options.unix_socket_path));
    listening.push_back(std::move(socket));
  }
  if (listening.empty()) return InvalidArgumentError("the gRPC server needs a port or a Unix socket path");
  try {
    auto impl = std::make_unique<Impl>(std::move(options), std::move(table), port, std::move(listening));
    impl->loops().Start();
    return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(impl)));
  } catch (const boost::system::system_error& error) {  // Asio's way to say that there is no descriptor for an event loop
    return ErrnoToStatus(error.code().value(), "cannot start the gRPC event loops");
  }
}

GrpcServer::GrpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GrpcServer::~GrpcServer() { Shutdown(Clock::Steady().Now()); }

int GrpcServer::port() const { return impl_->port(); }
size_t GrpcServer::num_connections() const { return impl_->loops().num_connections(); }
uint64_t GrpcServer::num_tls_failures(TlsFailure failure) const { return impl_->tls().num_failures(failure); }
uint64_t GrpcServer::num_refused_connections() const { return impl_->connections().num_refused(); }
const RefusalCounts& GrpcServer::refusals() const { return impl_->refusals(); }
void GrpcServer::Shutdown(TimePoint deadline) { impl_->Shutdown(deadline); }

}  // namespace tflite_serving
