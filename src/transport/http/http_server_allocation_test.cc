// Small requests on a kept-alive connection allocate nothing. A program of its own (allocation_counter.h).
#include <cstddef>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "base/mutex.h"
#include "base/unique_fd.h"
#include "transport/allocation_counter.h"
#include "transport/http/http_server.h"
#include "transport/http/http_test_server.h"
#include "transport/test_client.h"

namespace tflite_serving {
namespace {

// Asks `rounds` times without allocating anything itself.
void Exchange(int socket, std::string_view request, size_t response_size, int rounds) {
  char response[4096];
  for (int i = 0; i < rounds; ++i) {
    ASSERT_EQ(::send(socket, request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
    ASSERT_EQ(::recv(socket, response, response_size, MSG_WAITALL), static_cast<ssize_t>(response_size));
  }
}

int AllocationsOfAThousandRequests(HttpHandler& handler, const std::string& request) {
  const auto server = StartServer(handler);
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  const size_t response_size = ConnectTo(*server).Ask(request).head.size() + 2;
  Exchange(socket.get(), request, response_size, 100);
  const int before = NumAllocations();
  Exchange(socket.get(), request, response_size, 1000);
  return NumAllocations() - before;
}

class Inline : public HttpHandler {
 public:
  void Handle(HttpCall& call) override {
    call.response().body = "{}";
    call.Finish();
  }
};

// Finishes on another thread, which takes calls from a slot of one.
class OnAnotherThread : public HttpHandler {
 public:
  OnAnotherThread() : thread_([this] { Work(); }) {}
  ~OnAnotherThread() override { Put(nullptr, true); }
  void Handle(HttpCall& call) override { Put(&call, false); }

 private:
  void Put(HttpCall* call, bool stopping) {
    const MutexLock lock(mutex_);
    call_ = call;
    stopping_ = stopping;
    changed_.NotifyAll();
  }
  void Work() {
    while (true) {
      HttpCall* call = nullptr;
      {
        const MutexLock lock(mutex_);
        while (call_ == nullptr && !stopping_) changed_.Wait(mutex_);
        if (stopping_) return;
        call = std::exchange(call_, nullptr);
      }
      call->response().body = "{}";
      call->Finish();
    }
  }

  Mutex mutex_;
  CondVar changed_;
  HttpCall* call_ TFLS_GUARDED_BY(mutex_) = nullptr;
  bool stopping_ TFLS_GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

TEST(HttpServerAllocationTest, TheCounterCounts) {
  const int before = NumAllocations();
  delete new std::string(1000, 'x');
  EXPECT_GE(NumAllocations() - before, 1);
}

TEST(HttpServerAllocationTest, AnsweredInline) {
  Inline handler;
  EXPECT_EQ(AllocationsOfAThousandRequests(handler, Get("/v1/models/a_model_with_a_long_name")), 0);
  EXPECT_EQ(AllocationsOfAThousandRequests(handler, Post("/v1/models/a_model_with_a_long_name:predict", std::string(500, 'b'))), 0);
}

TEST(HttpServerAllocationTest, AnsweredByAnotherThread) {
  OnAnotherThread handler;
  EXPECT_EQ(AllocationsOfAThousandRequests(handler, Post("/v1/models/a_model_with_a_long_name:predict", std::string(500, 'b'))), 0);
}

}  // namespace
}  // namespace tflite_serving
