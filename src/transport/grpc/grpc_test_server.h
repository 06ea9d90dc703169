// For tests of the gRPC server: the server on a loopback port, and handlers with a lever.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/mutex.h"
#include "transport/grpc/grpc_server.h"
#include "transport/test_patience.h"

namespace tflite_serving {

inline constexpr char kEchoPath[] = "/test.Echo/Call";
inline constexpr char kStreamPath[] = "/test.Echo/Stream";

inline std::string RequestText(const GrpcCall& call) {
  std::string text;
  for (const auto piece : call.request()) text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  return text;
}

inline void ReplyWith(GrpcCall& call, std::string_view text) {
  const std::span<std::byte> memory = call.AllocateReply(text.size());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % 8, 0U);
  if (!text.empty()) std::memcpy(memory.data(), text.data(), text.size());
  call.Finish(OkStatus());
}

inline void Echo(GrpcCall& call) { ReplyWith(call, RequestText(call)); }

inline std::unique_ptr<GrpcServer> StartServer(GrpcHandler handler, GrpcServerOptions options = {}, GrpcStreamOpener opener = nullptr) {
  if (options.unix_socket_path.empty()) {
    options.bind_address = "127.0.0.1";
    options.port = kAnyFreePort;
  }
  std::vector<GrpcStreamMethod> stream_methods;
  if (opener) stream_methods.push_back({kStreamPath, std::move(opener)});
  StatusOr<std::unique_ptr<GrpcServer>> server = GrpcServer::Create(std::move(options), {{kEchoPath, std::move(handler)}}, stream_methods);
  EXPECT_TRUE(server.ok()) << server.status().ToString();
  return server.ok() ? *std::move(server) : nullptr;
}

// Keeps the calls until the test takes them.
class HeldGrpcCalls {
 public:
  GrpcHandler Handler() {
    return [this](GrpcCall& call) {
      const MutexLock lock(mutex_);
      calls_.push_back(&call);
      changed_.NotifyAll();
    };
  }

  // Waits for the next call; null, and the test failed, if none comes.
  GrpcCall* Take() {
    const TimePoint deadline = Clock::Steady().Now() + kTestPatience;
    const MutexLock lock(mutex_);
    while (calls_.empty()) {
      if (changed_.WaitUntil(mutex_, deadline) || !calls_.empty()) continue;
      ADD_FAILURE() << "no call came";
      return nullptr;
    }
    GrpcCall* const call = calls_.front();
    calls_.pop_front();
    return call;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::deque<GrpcCall*> calls_ TFLS_GUARDED_BY(mutex_);
};

}  // namespace tflite_serving
