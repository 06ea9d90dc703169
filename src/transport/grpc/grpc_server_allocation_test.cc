// Small calls on a connection allocate nothing beside what nghttp2 does. A program of its own (allocation_counter.h).
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "base/mutex.h"
#include "base/unique_fd.h"
#include "transport/allocation_counter.h"
#include "transport/grpc/grpc_test_server.h"

namespace tflite_serving {
namespace {

constexpr size_t kFrameHeadBytes = 9;

std::string Frame(uint8_t type, uint8_t flags, std::string_view payload) {
  return std::string{0, 0, static_cast<char>(payload.size()), static_cast<char>(type), static_cast<char>(flags), 0, 0, 0, 0}.append(payload);
}

// A HPACK field without indexing, its name by its place in the static table or in full.
std::string Field(std::string_view name, std::string_view value) {
  return std::string(name).append(1, static_cast<char>(value.size())).append(value);
}

// A connection that asks with bytes made beforehand, which differ from call to call in the number of the stream alone.
class Caller {
 public:
  explicit Caller(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(NGHTTP2_SETTINGS, 0, "") + Frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, ""));
    const std::string head = Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS,
                                   "\x83\x86" + Field("\x04", kEchoPath) + Field("\x01", "test") + Field("\x0F\x10", "application/grpc") +
                                       Field(std::string("\0\x0C", 2) + "grpc-timeout", "10S"));
    request_ = head + Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, std::string("\0\0\0\0\x05hello", 10));
    data_at_ = head.size();
  }

  // Asks, and reads until the trailers have come.
  void Ask() {
    SetStream(0);
    SetStream(data_at_);
    next_stream_ += 2;
    Send(request_);
    while (true) {
      std::array<unsigned char, kFrameHeadBytes> head{};
      ASSERT_TRUE(Receive(head.data(), head.size()));
      const size_t size = size_t{head[0]} << 16 | size_t{head[1]} << 8 | head[2];
      std::array<unsigned char, 1024> payload{};
      ASSERT_LE(size, payload.size());
      ASSERT_TRUE(Receive(payload.data(), size));
      if (head[3] == NGHTTP2_HEADERS && (head[4] & NGHTTP2_FLAG_END_STREAM) != 0) return;
    }
  }

 private:
  void SetStream(size_t frame_at) {
    for (size_t i = 0; i < 4; ++i) request_[frame_at + 5 + i] = static_cast<char>(next_stream_ >> (24 - 8 * i));
  }
  void Send(std::string_view bytes) {
    ASSERT_EQ(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  bool Receive(unsigned char* room, size_t size) { return size == 0 || ::recv(socket_.get(), room, size, MSG_WAITALL) == static_cast<ssize_t>(size); }

  const UniqueFd socket_;
  std::string request_;
  size_t data_at_ = 0;
  uint32_t next_stream_ = 1;
};

int AllocationsOfAThousandCalls(const GrpcHandler& handler) {
  std::atomic<int> num_calls = 0;
  const auto server = StartServer([&](GrpcCall& call) {
    ++num_calls;
    handler(call);
  });
  Caller caller(server->port());
  for (int i = 0; i < 100; ++i) caller.Ask();
  const int before = NumAllocations();
  for (int i = 0; i < 1000; ++i) caller.Ask();
  const int allocations = NumAllocations() - before;
  EXPECT_EQ(num_calls, 1100);
  return allocations;
}

void Answer(GrpcCall& call) {
  const std::span<std::byte> reply = call.AllocateReply(call.request_size_bytes());
  std::memcpy(reply.data(), call.request()[0].data(), reply.size());
  call.Finish(OkStatus());
}

TEST(GrpcServerAllocationTest, TheCounterCounts) {
  const int before = NumAllocations();
  delete new std::string(1000, 'x');
  EXPECT_GE(NumAllocations() - before, 1);
}

TEST(GrpcServerAllocationTest, AnsweredInline) { EXPECT_EQ(AllocationsOfAThousandCalls(Answer), 0); }

TEST(GrpcServerAllocationTest, AnsweredByAnotherThread) {
  Mutex mutex;
  CondVar changed;
  GrpcCall* waiting = nullptr;
  bool stopping = false;
  std::jthread thread([&] {
    const MutexLock lock(mutex);
    while (!stopping) {
      if (waiting == nullptr) {
        changed.Wait(mutex);
      } else {
        Answer(*std::exchange(waiting, nullptr));
      }
    }
  });
  const int allocations = AllocationsOfAThousandCalls([&](GrpcCall& call) {
    const MutexLock lock(mutex);
    waiting = &call;
    changed.NotifyAll();
  });
  EXPECT_EQ(allocations, 0);
  const MutexLock lock(mutex);
  stopping = true;
  changed.NotifyAll();
}

}  // namespace
}  // namespace tflite_serving
