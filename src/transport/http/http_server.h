// An HTTP/1.1 server: accepts connections, reads whole requests within limits and deadlines, and hands each to one handler.
//
// It knows nothing of paths or models. What a client sends wrong it answers itself, with a JSON error body and "Connection: close": 400, 408, 413,
// 414, 417, 431, 501 or 505. Everything else goes to the handler, in the order of arrival on each connection, and from all connections at the same
// time.
//
//   TFLS_ASSIGN_OR_RETURN(std::unique_ptr<HttpServer> server, HttpServer::Create({.port = 8501}, handler));
//   server->Start();
//   …
//   server->Shutdown(clock.Now() + std::chrono::seconds(10));
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "transport/http/http_limits.h"
#include "transport/http_call.h"
#include "transport/in_flight_bytes.h"
#include "transport/refusal_counts.h"
#include "transport/tls_context.h"
#include "transport/tls_failure.h"

namespace tflite_serving {

struct HttpServerOptions {
  std::vector<std::string> addresses;  // IP addresses or host names; none: every address of the machine, IPv6 and IPv4
  std::optional<uint16_t> port = 0;    // 0: a free one; nothing: none
  std::string unix_socket_path;        // to listen on too; empty: none. Removed at the end
  int num_threads = 1;                 // event loops, each a thread "http_io"; at least 1
  // While so many connections are open, idle ones are closed and new ones wait to be accepted. 0: ConnectionsByDescriptorLimit() (event_loops.h).
  size_t max_connections = 0;
  // A connection of a client whose address has so many is closed at once. 0: any number; Unix sockets have no address.
  size_t max_connections_per_address = 0;
  // Of requests and replies; 503: a request that does not fit. Null: there is no limit.
  std::shared_ptr<InFlightBytes> in_flight;
  HttpLimits limits;
  std::shared_ptr<TlsContext> tls;  // null: plain HTTP
  HttpHeaders error_headers;        // of the errors that the server answers by itself, beside the usual ones
};

// Create, Start, Shutdown and the destructor are for one thread; the other methods are thread-safe.
class HttpServer {
 public:
  // Listens; connections wait in the backlog until Start. `handler` must outlive the server, and is used by its threads only.
  static StatusOr<std::unique_ptr<HttpServer>> Create(HttpServerOptions options, HttpHandler& handler);
  // Shutdown(now).
  ~HttpServer();

  // The port it listens on; 0: none.
  uint16_t port() const;
  size_t num_connections() const;
  // Clients that did not get in, since the start.
  uint64_t num_tls_failures(TlsFailure failure) const;
  // Of requests, by the server itself: no handler has seen them.
  const RefusalCounts& refusals() const;
  // By max_connections_per_address, since the start.
  uint64_t num_refused_connections() const;

  // At most once, and not after Shutdown.
  void Start();

  // Stops accepting, closes idle connections, answers the requests that have begun with "Connection: close", and returns when the last connection is
  // closed. Those still open at `deadline` are closed then. HttpCalls that handlers still hold stay valid, and their Finish must still be called: it
  // frees them. A Handle that has not returned is waited for, however long it takes. A second call does nothing.
  void Shutdown(TimePoint deadline);

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace tflite_serving
