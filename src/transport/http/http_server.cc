#include "transport/http/http_server.h"

#include <utility>

#include <fmt/format.h>
#include <boost/system/system_error.hpp>

#include "transport/event_loops.h"
#include "transport/http/http_loop.h"
#include "transport/tcp_listener.h"
#include "transport/tls_port.h"
#include "transport/unix_listener.h"

namespace tflite_serving {

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, HttpHandler& handler, uint16_t port, std::vector<UniqueFd> listening)
      : options_(std::move(options)),
        port_(port),
        tls_("HTTP", TlsProtocol::kHttp, options_.tls),
        connections_(options_.max_connections_per_address),
        loops_("HTTP", "http_io", MakeLoops(handler), std::move(listening), options_.max_connections, connections_) {}

  uint16_t port() const { return port_; }
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
  std::vector<std::unique_ptr<ConnectionLoop>> MakeLoops(HttpHandler& handler) {
    std::vector<std::unique_ptr<ConnectionLoop>> loops;
    for (int i = 0; i < options_.num_threads; ++i)
      loops.push_back(std::make_unique<HttpLoop>(handler, options_.limits, options_.error_headers, tls_, refusals_, options_.in_flight));
    return loops;
  }

  HttpServerOptions options_;
  const uint16_t port_;
  TlsPort tls_;
  RefusalCounts refusals_;
  OpenConnections connections_;
  EventLoops loops_;
};

StatusOr<std::unique_ptr<HttpServer>> HttpServer::Create(HttpServerOptions options, HttpHandler& handler) {
  if (options.num_threads < 1) return InvalidArgumentError(fmt::format("the HTTP server needs at least 1 thread, got {}", options.num_threads));
  if (options.limits.min_bytes_per_second < 1) return InvalidArgumentError("min_bytes_per_second must be at least 1, got 0");
  if (options.in_flight == nullptr) options.in_flight = std::make_shared<InFlightBytes>();
  if (options.max_connections == 0) options.max_connections = ConnectionsByDescriptorLimit();
  std::vector<UniqueFd> listening;
  uint16_t port = 0;
  if (options.port) {
    TFLS_ASSIGN_OR_RETURN(std::vector<TcpListener> listeners, ListenOnTcp(options.addresses, *options.port));
    port = listeners.front().port;
    listening = ReleaseSockets(listeners);
  }
  if (!options.unix_socket_path.empty()) {
    TFLS_ASSIGN_OR_RETURN(UniqueFd socket, ListenOnUnixSocket(options.unix_socket_path));
    listening.push_back(std::move(socket));
  }
  if (listening.empty()) return InvalidArgumentError("the HTTP server needs a port or a Unix socket path");
  try {
    return std::unique_ptr<HttpServer>(new HttpServer(std::make_unique<Impl>(std::move(options), handler, port, std::move(listening))));
  } catch (const boost::system::system_error& error) {  // Asio's way to say that there is no descriptor for an event loop
    return ErrnoToStatus(error.code().value(), "cannot start the HTTP event loops");
  }
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { Shutdown(Clock::Steady().Now()); }

uint16_t HttpServer::port() const { return impl_->port(); }
size_t HttpServer::num_connections() const { return impl_->loops().num_connections(); }
uint64_t HttpServer::num_tls_failures(TlsFailure failure) const { return impl_->tls().num_failures(failure); }
void HttpServer::Start() { impl_->loops().Start(); }
uint64_t HttpServer::num_refused_connections() const { return impl_->connections().num_refused(); }
const RefusalCounts& HttpServer::refusals() const { return impl_->refusals(); }
void HttpServer::Shutdown(TimePoint deadline) { impl_->Shutdown(deadline); }

}  // namespace tflite_serving
