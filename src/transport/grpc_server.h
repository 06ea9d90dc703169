// The gRPC server: a table of unary methods over libgrpc++'s callback API.
//
// Requests reach their handler as raw bytes, in the pieces in which they arrived, and replies leave as raw bytes, so that a tensor is copied once on
// its way in and once on its way out. No generated service code is involved; descriptors that are linked into the program are served by reflection.
// The grpc.health.v1 service is there, and answers SERVING for "" (the whole server) until SetServing says otherwise.
//
// Connections come from GrpcAcceptor. gRPC's own threads, which have no names, read them and call the handlers.
#pragma once

#include <climits>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "transport/grpc_acceptor.h"
#include "transport/grpc_call.h"

namespace tflite_serving {

struct GrpcServerOptions {
  GrpcAcceptorOptions listen;
  // A longer message is refused with RESOURCE_EXHAUSTED; compressed ones are held against it after decompression too.
  int max_receive_message_bytes = INT_MAX;
  // Calls in flight on one connection; a client's further calls wait on its side.
  int max_concurrent_streams = 1024;
  // gRPC channel arguments by name ("grpc.max_connection_age_ms"); they win over what the server would set by itself.
  std::map<std::string, std::variant<int, std::string>> channel_arguments;
};

// Thread-safe.
class GrpcServer {
 public:
  // What a status message is cut to, with kTruncatedSuffix after it: it travels in a header, whose size clients limit.
  static constexpr size_t kMaxStatusMessageBytes = 1024;
  static constexpr const char* kTruncatedSuffix = "...TRUNCATED";

  // Serves at once. Every path in `methods` is "/package.Service/Method", each only once; any other path is UNIMPLEMENTED.
  // INVALID_ARGUMENT for a bad path, and the errors of GrpcAcceptor::Listen.
  static StatusOr<std::unique_ptr<GrpcServer>> Create(const GrpcServerOptions& options, const std::vector<GrpcMethod>& methods);

  // As Shutdown without waiting for calls: they are cancelled.
  ~GrpcServer();
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  // The TCP port; 0 if there is none.
  int port() const;

  // What grpc.health.v1 answers for `service` from now on; "" is the server as a whole.
  void SetServing(const std::string& service, bool serving);

  // Refuses new connections and new calls, gives those in flight until `deadline`, then cancels what is left, and returns when all are finished:
  // every handler must still call Finish. The health service answers NOT_SERVING meanwhile. Calling it again does nothing.
  void Shutdown(TimePoint deadline);

 private:
  struct Impl;
  explicit GrpcServer(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace tflite_serving
