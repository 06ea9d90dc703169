// One HTTP request and its response, as the HTTP server hands them to the API.
//
// The server has already parsed the head, enforced every limit and read the whole body. A handler fills in the response and calls Finish once.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/status.h"
#include "transport/call_ids.h"

namespace tflite_serving {

// Borrowed from the connection: valid until HttpCall::Finish.
struct HttpRequest {
  std::string_view method;  // "GET", as sent
  std::string_view target;  // path and query, as sent, percent-encoding untouched
  // The values of these header fields, empty for one that was not sent; several of one name are joined by ", ".
  std::string_view content_type;
  std::string_view accept;
  std::string_view origin;
  std::string_view traceparent;
  std::string_view tracestate;
  std::string_view authorization;
  std::string_view api_key;  // X-API-Key
  // The whole body, decoded from chunks and inflated; mutable, so that a parser may work in place. It begins at a multiple of 64 if it came as it is
  // and with its length. 64 zero bytes follow it and may be read, not written.
  std::span<char> body;
  TimePoint received_at;  // when the head was complete
};

using HttpHeaders = std::vector<std::pair<std::string_view, std::string>>;  // names are literals

// Reused from request to request on one connection: Clear keeps the memory.
struct HttpResponse {
  int status = 200;
  std::string_view content_type = "application/json";  // a string literal
  HttpHeaders headers;                                 // beside Content-Type, Content-Length, Date, Connection and those of `ids`
  CallIds ids;                                         // the request's own when the handler is given the call
  // Sent as Content-Length bytes, compressed if the client accepts that and it is worth it; a HEAD request is answered with its length and without
  // it.
  std::string body;

  void Clear();
};

// A request on its way. Thread-compatible: whoever holds it may use it, one thread at a time.
class HttpCall {
 public:
  virtual ~HttpCall() = default;
  virtual const HttpRequest& request() const = 0;
  virtual HttpResponse& response() = 0;
  // Set once the client went away: it closed the connection, or its sending half, or the server gives it up. Valid until Finish.
  virtual const Cancellation& cancellation() const = 0;

  // Counts so many bytes, which the call takes beside its body, until Finish. UNAVAILABLE when too many are in flight.
  virtual Status Hold(size_t bytes) = 0;

  // The response is complete. Exactly once, from any thread; the call must not be touched afterwards. A large response is compressed here, on the
  // caller's thread.
  virtual void Finish() = 0;
};

// Thread-safe. Handle runs on an I/O thread: what takes longer than a thread hop belongs onto a worker, which then calls Finish.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  virtual void Handle(HttpCall& call) = 0;

  // Asked when there is the head of a request with a large body, which `call` has not: whether it is refused now, with what this writes to its
  // response. Then its body is dropped as it comes, without memory for it, and Handle is not called, nor is Finish. An overloaded server has no time
  // to read what it will refuse.
  virtual bool RefusesUnread(HttpCall& /*call*/) { return false; }
};

}  // namespace tflite_serving
