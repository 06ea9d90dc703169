#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "load_connection.h"

namespace tflite_serving {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
constexpr int kServiceUnavailable = 503;

// The head of a response, in whatever case its names are.
struct ResponseHead {
  size_t size = 0;
  int status = 0;
  size_t content_length = 0;
  bool closes = false;
};

// Nothing until the head is complete.
std::optional<ResponseHead> ParseHead(std::string_view input) {
  const size_t end = input.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  ResponseHead head{.size = end + 4};
  std::string text(input.substr(0, end + 2));
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto number_after = [&](std::string_view name, auto& number) {
    const size_t at = text.find(name);
    if (at != std::string::npos) std::from_chars(text.data() + at + name.size(), text.data() + text.size(), number);
  };
  number_after("http/1.1 ", head.status);
  number_after("\r\ncontent-length: ", head.content_length);
  head.closes = text.find("\r\nconnection: close\r\n") != std::string::npos;
  return head;
}

class HttpLoadConnection : public LoadConnection {
 public:
  HttpLoadConnection(const LoadRequest& request, Opened opened, Done done)
      : port_(request.port), body_(request.body), opened_(std::move(opened)), done_(std::move(done)) {
    head_ = fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n", request.path, request.content_type,
                        body_.size());
  }
  ~HttpLoadConnection() override {
    if (socket_ >= 0) ::close(socket_);
  }

  void Open() override {
    if (socket_ >= 0) ::close(socket_);
    input_.clear();
    socket_ = ConnectToLoopback(port_);
    opened_(*this, socket_);
  }

  void Send(size_t id) override {
    id_ = id;
    sent_ = 0;
    Write();
  }

  void OnReady() override {
    if (id_) Write();
    Read();
  }

 private:
  void Write() {
    while (sent_ < head_.size() + body_.size()) {
      const size_t of_head = std::min(sent_, head_.size());
      const size_t of_body = sent_ - of_head;
      iovec pieces[] = {{head_.data() + of_head, head_.size() - of_head}, {const_cast<char*>(body_.data()) + of_body, body_.size() - of_body}};
      const msghdr message{.msg_iov = pieces, .msg_iovlen = 2};
      const ssize_t size = ::sendmsg(socket_, &message, MSG_NOSIGNAL);
      if (size < 0) return;  // full, or broken, which reading tells
      sent_ += static_cast<size_t>(size);
    }
  }

  void Read() {
    char chunk[kReadBytes];
    for (;;) {
      const ssize_t size = ::recv(socket_, chunk, sizeof(chunk), 0);
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (size <= 0) {
        Open();
        if (id_) Finish(Outcome::kFailed);
        return;
      }
      input_.append(chunk, static_cast<size_t>(size));
      const std::optional<ResponseHead> head = ParseHead(input_);
      if (!head || input_.size() < head->size + head->content_length) continue;
      input_.clear();
      if (head->closes) Open();
      Finish(head->status == 200 ? Outcome::kOk : head->status == kServiceUnavailable ? Outcome::kRefused : Outcome::kFailed);
      return;
    }
  }

  // Last, since the owner may send the next request from here.
  void Finish(Outcome outcome) { done_(*this, *std::exchange(id_, std::nullopt), outcome); }

  const uint16_t port_;
  const std::string& body_;
  const Opened opened_;
  const Done done_;
  std::string head_;
  int socket_ = -1;
  std::optional<size_t> id_;  // of the request under way
  size_t sent_ = 0;           // of head and body
  std::string input_;
};

}  // namespace

int ConnectToLoopback(uint16_t port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  if (descriptor < 0 || ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    fmt::print(stderr, "cannot connect to port {}: {}\n", port, std::system_category().message(errno));
    std::exit(EXIT_FAILURE);
  }
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::fcntl(descriptor, F_SETFL, O_NONBLOCK);
  return descriptor;
}

std::unique_ptr<LoadConnection> MakeHttpLoadConnection(const LoadRequest& request, LoadConnection::Opened opened, LoadConnection::Done done) {
  return std::make_unique<HttpLoadConnection>(request, std::move(opened), std::move(done));
}

}  // namespace tflite_serving
