// For tests: a server on a loopback port that answers as it is told, one connection after the other.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/unique_fd.h"

namespace tflite_serving {

// Thread-safe.
class FakeHttpServer {
 public:
  struct Request {
    std::string head;
    std::string body;
  };
  // An answer that never comes.
  static constexpr std::string_view kHangs = "";

  // Answers in this order, then with kOk.
  explicit FakeHttpServer(std::deque<std::string> answers = {})
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), stop_(::eventfd(0, EFD_CLOEXEC)), answers_(std::move(answers)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    EXPECT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] { Serve(); });
  }
  ~FakeHttpServer() { ::eventfd_write(stop_.get(), 1); }
  FakeHttpServer(const FakeHttpServer&) = delete;
  FakeHttpServer& operator=(const FakeHttpServer&) = delete;

  static std::string Answer(std::string_view status, std::string_view headers = "", std::string_view body = "") {
    return fmt::format("HTTP/1.1 {}\r\n{}Content-Length: {}\r\n\r\n{}", status, headers, body.size(), body);
  }

  std::string url() const { return fmt::format("http://127.0.0.1:{}/a/path", port_); }

  // The first `count`, once they have arrived, or as many as have when the test has waited too long.
  std::vector<Request> Requests(size_t count) {
    const TimePoint deadline = Clock::Steady().Now() + std::chrono::seconds(30);
    const MutexLock lock(mutex_);
    while (requests_.size() < count && arrived_.WaitUntil(mutex_, deadline)) {
    }
    EXPECT_GE(requests_.size(), count);
    return requests_;
  }
  size_t num_requests() {
    const MutexLock lock(mutex_);
    return requests_.size();
  }

 private:
  // False at the end of the test.
  bool WaitReadable(int fd) {
    pollfd either[] = {{.fd = fd, .events = POLLIN}, {.fd = stop_.get(), .events = POLLIN}};
    ::poll(either, 2, -1);
    return either[1].revents == 0;
  }

  void Serve() {
    while (WaitReadable(listener_.get())) {
      const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::string received;
      while (WaitReadable(connection.get())) {
        char bytes[65536];
        const ssize_t size = ::recv(connection.get(), bytes, sizeof(bytes), 0);
        if (size <= 0) break;
        received.append(bytes, static_cast<size_t>(size));
        const std::string answer = AnswerTo(received);
        ::send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
      }
    }
  }

  // Empty, and nothing taken, while the request is not whole.
  std::string AnswerTo(std::string& received) {
    const size_t head_size = received.find("\r\n\r\n") + 4;
    const size_t length_at = received.find("Content-Length: ");
    if (head_size == std::string::npos + 4) return {};
    const size_t body_size = length_at < head_size ? std::stoul(received.substr(length_at + 16)) : 0;
    if (received.size() < head_size + body_size) return {};
    const MutexLock lock(mutex_);
    requests_.push_back({received.substr(0, head_size), received.substr(head_size, body_size)});
    received.erase(0, head_size + body_size);
    arrived_.NotifyAll();
    if (answers_.empty()) return Answer("200 OK");
    std::string answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }

  const UniqueFd listener_;
  const UniqueFd stop_;
  uint16_t port_ = 0;
  Mutex mutex_;
  CondVar arrived_;
  std::deque<std::string> answers_ TFLS_GUARDED_BY(mutex_);
  std::vector<Request> requests_ TFLS_GUARDED_BY(mutex_);
  std::jthread thread_;  // last: it uses the members above
};

}  // namespace tflite_serving
