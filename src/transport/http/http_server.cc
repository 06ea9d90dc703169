#include "transport/http/http_server.h"

#include <utility>

#include <fmt/format.h>
#include <boost/system/system_error.hpp>

#include "transport/event_loops.h"
#include "transport/http/http_loop.h"
#include "transport/tcp_listener.h"
#include "transport/tls_port.h"

namespace tflite_serving {

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, HttpHandler& handler, std::vector<TcpListener> listeners)
      : options_(std::move(options)),
        port_(listeners.front().port),
        tls_("HTTP", TlsProtocol::kHttp, options_.tls),
        loops_("HTTP", "http_io", MakeLoops(handler), ReleaseSockets(listeners), options_.max_connections) {}

  uint16_t port() const { return port_; }
  const TlsPort& tls() const { return tls_; }
  EventLoops& loops() { return loops_; }

 private:
  std::vector<std::unique_ptr<ConnectionLoop>> MakeLoops(HttpHandler& handler) {
    std::vector<std::unique_ptr<ConnectionLoop>> loops;
    for (int i = 0; i < options_.num_threads; ++i)
      loops.push_back(std::make_unique<HttpLoop>(handler, options_.limits, options_.error_headers, tls_));
    return loops;
  }

  const HttpServerOptions options_;
  const uint16_t port_;
  TlsPort tls_;
  EventLoops loops_;
};

StatusOr<std::unique_ptr<HttpServer>> HttpServer::Create(HttpServerOptions options, HttpHandler& handler) {
  if (options.num_threads < 1) return InvalidArgumentError(fmt::format("the HTTP server needs at least 1 thread, got {}", options.num_threads));
  if (options.limits.min_bytes_per_second < 1) return InvalidArgumentError("min_bytes_per_second must be at least 1, got 0");
  if (options.max_connections == 0) options.max_connections = ConnectionsByDescriptorLimit();
  TFLS_ASSIGN_OR_RETURN(std::vector<TcpListener> listeners, ListenOnTcp(options.addresses, options.port));
  try {
    return std::unique_ptr<HttpServer>(new HttpServer(std::make_unique<Impl>(std::move(options), handler, std::move(listeners))));
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
void HttpServer::Shutdown(TimePoint deadline) { impl_->loops().Shutdown(deadline); }

}  // namespace tflite_serving
