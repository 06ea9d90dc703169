// For tests of the HTTP server: the server on a loopback port, and handlers with a lever.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "transport/byte_buffer.h"
#include "transport/http/http_server.h"
#include "transport/test_client.h"

namespace tflite_serving {

// Answers with "METHOD target body".
class EchoHandler : public HttpHandler {
 public:
  void Handle(HttpCall& call) override {
    const HttpRequest& request = call.request();
    std::string& body = call.response().body;
    body.assign(request.method).append(" ").append(request.target).append(" ").append(request.body.data(), request.body.size());
    const char* const padding = request.body.data() + request.body.size();
    if (std::any_of(padding, padding + kBodyPaddingBytes, [](char c) { return c != '\0'; })) call.response().status = 500;
    call.Finish();
  }
};

// Keeps the calls until the test takes them.
class HeldCalls : public HttpHandler {
 public:
  void Handle(HttpCall& call) override {
    const MutexLock lock(mutex_);
    calls_.push_back(&call);
    changed_.NotifyAll();
  }

  // Waits for the next call; null if none comes.
  HttpCall* Take() {
    const TimePoint deadline = Clock::Steady().Now() + kTestPatience;
    const MutexLock lock(mutex_);
    while (calls_.empty()) {
      if (!changed_.WaitUntil(mutex_, deadline) && calls_.empty()) return nullptr;
    }
    HttpCall* const call = calls_.front();
    calls_.pop_front();
    return call;
  }
  size_t num_waiting() {
    const MutexLock lock(mutex_);
    return calls_.size();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::deque<HttpCall*> calls_ TFLS_GUARDED_BY(mutex_);
};

// Null, and the test failed, if it cannot listen.
inline std::unique_ptr<HttpServer> StartServer(HttpHandler& handler, HttpServerOptions options = {}) {
  options.addresses = {"127.0.0.1"};
  StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Create(std::move(options), handler);
  EXPECT_TRUE(server.ok()) << server.status().ToString();
  if (!server.ok()) return nullptr;
  (*server)->Start();
  return *std::move(server);
}

inline TestClient ConnectTo(const HttpServer& server) {
  TestClient client;
  EXPECT_TRUE(client.Connect(server.port())) << ErrnoToStatus(errno, "connect").message();
  return client;
}

}  // namespace tflite_serving
