// Requests over HTTP and HTTPS, by libcurl: one at a time, over connections that are kept. Certificates are verified, and proxies are those of curl's
// environment variables (https_proxy, …).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/status.h"

namespace tflite_serving {

using HttpClientHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpClientOptions {
  std::chrono::milliseconds connect_timeout{5000};
  std::chrono::milliseconds idle_timeout{0};  // a body of which so long nothing comes is given up, within a second more; 0: it is waited for
  size_t max_body_bytes = size_t{64} << 10;   // of HttpClientResponse::body
  bool follows_redirects = false;             // of GET and HEAD, without what authorizes them to another host; never from HTTPS to HTTP
  bool uses_proxies = true;
  bool uses_netrc = false;  // names and passwords of $NETRC or ~/.netrc
  std::string ca_file;      // of certificates that are trusted; empty: the system's
};

struct HttpClientRequest {
  std::string method = "GET";  // or HEAD, POST, PUT
  std::string url;
  HttpClientHeaders headers = {};
  std::string_view body = {};  // of POST and PUT
};

struct HttpClientResponse {
  long status = 0;  // 0: no whole answer came, and `error` says why
  std::string error;
  HttpClientHeaders headers;            // of the last answer, where there were redirects; names in small letters
  std::string body;                     // its beginning, unless a sink took it
  std::chrono::seconds retry_after{0};  // 0: it does not say

  // Empty: there is none.
  std::string_view Header(std::string_view name) const;
};

// Whether HTTP can carry such a header: its name is a token, and its value has no control characters.
bool IsHttpHeader(std::string_view name, std::string_view value);

class HttpClient {
 public:
  // Takes a body piece by piece as it comes; false ends the request. Only that of a 2xx answer.
  using Sink = std::function<bool(const HttpClientResponse& head, std::string_view piece)>;

  // FAILED_PRECONDITION: libcurl is not there; `what` needs it.
  static StatusOr<std::unique_ptr<HttpClient>> Create(std::string_view what, HttpClientOptions options);
  ~HttpClient();

  // "host:port" of an HTTP or HTTPS URL; empty for any other text.
  std::string PlaceOf(const std::string& url) const;

  // Until `deadline`, or until `stop` is set: then it ends in a tenth of a second. Headers must be IsHttpHeader.
  HttpClientResponse Send(const HttpClientRequest& request, TimePoint deadline, const Cancellation* stop = nullptr, const Sink& sink = {});

  // From now on every Send ends by then, also one that is under way. Thread-safe.
  void EndBy(TimePoint deadline);

 private:
  struct Handles;
  HttpClient(std::unique_ptr<Handles> handles, HttpClientOptions options);
  // Those that do not concern the answer. The texts of `request` have to stay until it is sent.
  void SetOptions(const HttpClientRequest& request);

  const std::unique_ptr<Handles> handles_;
  const HttpClientOptions options_;
  std::atomic<TimePoint> end_by_ = kNoDeadline;
};

}  // namespace tflite_serving
