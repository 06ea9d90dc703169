// For tests: a client that sends raw bytes over a loopback socket.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "base/status.h"
#include "base/unique_fd.h"
#include "transport/test_patience.h"

namespace tflite_serving {

struct Reply {
  int status = 0;  // 0: the connection was closed before a whole response came
  std::string head;
  std::string body;
  bool Has(std::string_view header) const { return head.find(header) != std::string::npos; }
};

class TestClient {
 public:
  // Opens a socket; Connect may come later, when no descriptor is left.
  explicit TestClient(int receive_buffer_bytes = 0) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    EXPECT_TRUE(socket_.valid()) << ErrnoToStatus(errno, "socket").message();
    const timeval patience{.tv_sec = kTestPatience.count(), .tv_usec = 0};
    EXPECT_EQ(::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    if (receive_buffer_bytes > 0) {
      EXPECT_EQ(::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes)), 0);
    }
  }

  [[nodiscard]] bool Connect(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }

  virtual ~TestClient() = default;
  TestClient(TestClient&&) = default;
  TestClient& operator=(TestClient&&) = default;

  // False if the server has closed the connection.
  virtual bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // Until the server's socket has what was sent, whether or not anybody reads it there.
  void WaitUntilDelivered() {
    for (int missing = 1; missing > 0; std::this_thread::yield()) ASSERT_EQ(::ioctl(socket_.get(), TIOCOUTQ, &missing), 0);
  }
  void CloseWrite() { ::shutdown(socket_.get(), SHUT_WR); }
  void Close() { socket_ = UniqueFd(); }
  void Reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    EXPECT_EQ(::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    Close();
  }

  // The next response, interim ones (100 Continue) included. `head_only`: it answers a HEAD request.
  Reply Read(bool head_only = false) {
    size_t head_size = std::string::npos;
    while ((head_size = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!Fill()) return {};
    }
    Reply reply;
    reply.head = buffer_.substr(0, head_size + 4);
    const size_t at = reply.head.find("Content-Length: ");
    const size_t length = at == std::string::npos || head_only ? 0 : std::stoul(reply.head.substr(at + 16));
    while (buffer_.size() < reply.head.size() + length) {
      if (!Fill()) return {};
    }
    reply.body = buffer_.substr(reply.head.size(), length);
    buffer_.erase(0, reply.head.size() + length);
    if (!reply.head.starts_with("HTTP/1.1 ")) return {};
    reply.status = std::stoi(reply.head.substr(9, 3));
    return reply;
  }

  // Sends a request and reads its response.
  Reply Ask(std::string_view request) {
    Send(request);
    return Read();
  }

  // Everything up to the end of the connection, which `was_reset` may have ended.
  std::string ReadToEnd() {
    while (Fill()) {
    }
    return std::exchange(buffer_, {});
  }
  // The server closed the connection in order, and sent nothing else.
  bool AtEnd() { return ReadToEnd().empty() && !was_reset_; }
  bool was_reset() const { return was_reset_; }

  // Whether there is something to read, or the end, within `timeout`.
  bool Readable(std::chrono::milliseconds timeout) {
    pollfd poll{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&poll, 1, static_cast<int>(timeout.count())) > 0;
  }

 protected:
  // As recv: 0 at the end, negative for an error.
  virtual ssize_t Receive(char* room, size_t size) { return ::recv(socket_.get(), room, size, 0); }

 private:
  bool Fill() {
    char bytes[65536];
    const ssize_t size = Receive(bytes, sizeof(bytes));
    if (size < 0) {
      EXPECT_NE(errno, EAGAIN) << "the server neither answered nor closed the connection";
      was_reset_ = true;
    }
    if (size <= 0) return false;
    buffer_.append(bytes, static_cast<size_t>(size));
    return true;
  }

  UniqueFd socket_;
  std::string buffer_;
  bool was_reset_ = false;
};

inline std::string Get(std::string_view target, std::string_view more_headers = "") {
  return std::string("GET ").append(target).append(" HTTP/1.1\r\nHost: h\r\n").append(more_headers).append("\r\n");
}
inline std::string Post(std::string_view target, std::string_view body) {
  return std::string("POST ")
      .append(target)
      .append(" HTTP/1.1\r\nHost: h\r\nContent-Length: ")
      .append(std::to_string(body.size()))
      .append("\r\n\r\n")
      .append(body);
}

}  // namespace tflite_serving
