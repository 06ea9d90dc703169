// TLS of both ports, as the flags say, and the thread that renews it.
#pragma once

#include <chrono>
#include <memory>
#include <thread>

#include "base/mutex.h"
#include "base/status.h"
#include "config/server_options.h"
#include "telemetry/metrics.h"
#include "transport/grpc/grpc_server.h"
#include "transport/http/http_server.h"
#include "transport/tls_context.h"

namespace tflite_serving {

// Thread-compatible; the contexts are thread-safe.
class ServerTls {
 public:
  // Between two looks at the files.
  static constexpr std::chrono::seconds kReloadInterval{5};

  // Reads what the flags name; with --tls_certificate_file the thread "tls_reload" looks at it until the end. Errors are those of TlsContext and
  // ReadSslConfigFile.
  static StatusOr<std::unique_ptr<ServerTls>> Create(const ServerOptions& options);
  ~ServerTls();
  ServerTls(const ServerTls&) = delete;
  ServerTls& operator=(const ServerTls&) = delete;

  // Null: the port is plain.
  const std::shared_ptr<TlsContext>& rest() const { return rest_; }
  const std::shared_ptr<TlsContext>& grpc() const { return grpc_; }

  // What the servers counted of clients that did not get in, and how long the certificates last. `grpc`: null if there is no such port. Thread-safe.
  void Collect(const HttpServer& rest, const GrpcServer* grpc, MetricsPage& page) const;

 private:
  ServerTls() = default;
  void Watch();

  std::shared_ptr<TlsContext> rest_;
  std::shared_ptr<TlsContext> grpc_;  // the same, or one of --ssl_config_file
  Mutex mutex_;
  CondVar wake_;
  bool stopping_ TFLS_GUARDED_BY(mutex_) = false;
  std::jthread watcher_;  // last: it uses everything above
};

}  // namespace tflite_serving
