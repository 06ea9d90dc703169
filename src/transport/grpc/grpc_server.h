// The gRPC server: a table of methods over HTTP/2, on event loops of its own.
//
// Requests reach their handler as raw bytes in one piece, and replies go to the socket from where the handler wrote them, so that a tensor is copied
// once on its way in and once on its way out. No generated service code is involved. Reflection and health are methods like others (src/api).
//
// Its loops are threads "grpc_io". They are not shared with the HTTP server: each server ends by its own rules, and idle threads cost nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "transport/grpc/grpc_limits.h"
#include "transport/grpc_call.h"
#include "transport/grpc_stream_call.h"
#include "transport/in_flight_bytes.h"
#include "transport/refusal_counts.h"
#include "transport/tls_context.h"
#include "transport/tls_failure.h"

namespace tflite_serving {

// Ask the kernel for any free port (tests do).
inline constexpr int kAnyFreePort = -1;

struct GrpcServerOptions {
  // A host name or a numeric IPv4 or IPv6 address. Empty: every address of the machine, IPv4 and IPv6.
  std::string bind_address;
  int port = 0;                  // 0: no TCP port
  std::string unix_socket_path;  // empty: no Unix socket
  int num_threads = 1;           // event loops; at least 1
  // While so many connections are open, idle ones are asked to go and new ones wait to be accepted. 0: ConnectionsByDescriptorLimit()
  // (event_loops.h).
  size_t max_connections = 0;
  // A connection of a client whose address has so many is closed at once. 0: any number; Unix sockets have no address.
  size_t max_connections_per_address = 0;
  // Of requests and replies; UNAVAILABLE: a request that does not fit. Null: there is no limit.
  std::shared_ptr<InFlightBytes> in_flight;
  GrpcLimits limits;
  std::shared_ptr<TlsContext> tls;  // null: without TLS
};

// gRPC's channel arguments by name ("grpc.max_connection_age_ms").
using GrpcChannelArgumentMap = std::map<std::string, std::variant<int, std::string>>;

// Sets those of the limits that `arguments` name. Each argument that means nothing here, or has a value that it cannot have, is named in a warning
// in the log, and otherwise ignored.
void SetChannelArguments(const GrpcChannelArgumentMap& arguments, GrpcLimits& limits);

// Create, Shutdown and the destructor are for one thread; the others are thread-safe.
class GrpcServer {
 public:
  // Serves at once. Every path is "/package.Service/Method", each only once; any other path is UNIMPLEMENTED.
  // INVALID_ARGUMENT for a bad path or no place to listen; errors of listening name the place:
  // ALREADY_EXISTS `cannot listen on port 8500: Address already in use`.
  static StatusOr<std::unique_ptr<GrpcServer>> Create(GrpcServerOptions options, const std::vector<GrpcMethod>& methods,
                                                      const std::vector<GrpcStreamMethod>& stream_methods);

  // As Shutdown without waiting for calls: they are cancelled.
  ~GrpcServer();
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  // The TCP port; 0 if there is none.
  int port() const;
  size_t num_connections() const;
  // Clients that did not get in, since the start.
  uint64_t num_tls_failures(TlsFailure failure) const;
  // Of requests, by the server itself: no handler has seen them.
  const RefusalCounts& refusals() const;
  // By max_connections_per_address, since the start.
  uint64_t num_refused_connections() const;

  // Refuses new connections, asks clients to go elsewhere (GOAWAY), ends streaming calls, gives the others until `deadline`, then cancels what is
  // left, and returns when all are finished: every handler must still call Finish. Calling it again does nothing.
  void Shutdown(TimePoint deadline);

 private:
  class Impl;
  explicit GrpcServer(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace tflite_serving
