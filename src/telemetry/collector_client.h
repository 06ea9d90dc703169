// Sends serialized messages to a collector over HTTP or HTTPS: one connection, which is kept. Certificates are verified, redirects are not followed,
// and proxies are those of curl's environment variables (https_proxy, …).
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "telemetry/otlp_message.h"

namespace tflite_serving {

class CollectorClient {
 public:
  // INVALID_ARGUMENT for another kind of URL and for headers that HTTP cannot carry; the message shows neither, since they may hold secrets.
  // `timeout` is that of a whole Post.
  static StatusOr<std::unique_ptr<CollectorClient>> Create(const std::string& url, const KeyValues& headers, std::chrono::milliseconds timeout);
  ~CollectorClient();

  struct Answer {
    long http_status = 0;  // 0: no answer came, and `error` says why
    std::string error;
    std::string body;                     // its first 64 KiB
    std::chrono::seconds retry_after{0};  // 0: it does not say
  };
  // One call at a time.
  Answer Post(const std::string& message);

  // From now on every Post ends by then, also one that is under way. Thread-safe.
  void EndBy(TimePoint deadline);

  // "host:port", for the log.
  const std::string& place() const { return place_; }

 private:
  struct Handles;
  CollectorClient(std::unique_ptr<Handles> handles, std::string place, std::chrono::milliseconds timeout);

  const std::unique_ptr<Handles> handles_;
  const std::string place_;
  const std::chrono::milliseconds timeout_;
  std::atomic<TimePoint> end_by_ = kNoDeadline;
};

}  // namespace tflite_serving
