// As many HttpClients as there are threads that send something at the same time.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "http_client/http_client.h"

namespace tflite_serving {

// Thread-safe.
class HttpClients {
 public:
  explicit HttpClients(HttpClientOptions options) : options_(std::move(options)) {}

  // As HttpClient::Send; without libcurl no answer comes.
  HttpClientResponse Send(const HttpClientRequest& request, TimePoint deadline, const Cancellation& stop, const HttpClient::Sink& sink = {}) {
    std::unique_ptr<HttpClient> client;
    {
      const MutexLock lock(mutex_);
      if (!idle_.empty()) {
        client = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (client == nullptr) {
      StatusOr<std::unique_ptr<HttpClient>> created = HttpClient::Create("models from object storage", options_);
      if (!created.ok()) return {.error = created.status().message()};
      client = *std::move(created);
    }
    HttpClientResponse response = client->Send(request, deadline, &stop, sink);
    const MutexLock lock(mutex_);
    idle_.push_back(std::move(client));
    return response;
  }

 private:
  const HttpClientOptions options_;
  Mutex mutex_;
  std::vector<std::unique_ptr<HttpClient>> idle_ TFLS_GUARDED_BY(mutex_);  // as many as were busy together at most
};

}  // namespace tflite_serving
