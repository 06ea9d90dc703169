// For tests of the gRPC server: an HTTP/2 client on nghttp2 that can also do what no gRPC client does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nghttp2/nghttp2.h>

#include "base/unique_fd.h"
#include "transport/test_patience.h"
#include "transport/tls_test_client.h"

namespace tflite_serving {

// A message as gRPC frames it.
inline std::string Framed(std::string_view message, char flag = 0) {
  const auto size = static_cast<uint32_t>(message.size());
  std::string framed{flag, static_cast<char>(size >> 24), static_cast<char>(size >> 16), static_cast<char>(size >> 8), static_cast<char>(size)};
  return framed.append(message);
}

struct GrpcAnswer {
  std::map<std::string, std::string> fields;  // of head and trailers
  std::string data;                           // messages with their five bytes
  bool over = false;                          // the stream has ended, one way or the other
  uint32_t reset = 0;                         // the code of RST_STREAM

  int http_status() const { return fields.contains(":status") ? std::stoi(fields.at(":status")) : 0; }
  // -1: none came.
  int status() const { return fields.contains("grpc-status") ? std::stoi(fields.at("grpc-status")) : -1; }
  std::string message() const { return fields.contains("grpc-message") ? fields.at("grpc-message") : ""; }
  // The one message, if it is one.
  std::string reply() const { return data.size() >= 5 && Framed(data.substr(5)) == data ? data.substr(5) : "no single message"; }
};

class GrpcTestClient {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;

  // `receive_buffer_bytes`: of the socket, 0 for the usual. `window`: what the server may send on a stream before it has to wait.
  // `tls`: of the connection; null: none. If its handshake fails the client is not connected().
  explicit GrpcTestClient(int port, int receive_buffer_bytes = 0, uint32_t window = 1 << 20, std::unique_ptr<TestTls> tls = nullptr);
  ~GrpcTestClient();
  GrpcTestClient(const GrpcTestClient&) = delete;
  GrpcTestClient& operator=(const GrpcTestClient&) = delete;

  bool connected() const { return connected_; }
  TestTls& tls() { return *tls_; }
  nghttp2_session* http2() { return http2_; }

  // Begins a call; `body` is sent as it is and, if `end`, ends the request. A field in `more` replaces the usual one of its name.
  int32_t Begin(const std::string& path, std::string body, const Fields& more = {}, bool end = true);
  // Sends more of a request that Begin left open.
  void Send(int32_t id, std::string_view bytes, bool end);
  void Reset(int32_t id);
  // Reads until the stream is over, or the connection.
  const GrpcAnswer& Await(int32_t id);
  // Reads until `count` bytes of messages have come, or the stream is over.
  const GrpcAnswer& AwaitData(int32_t id, size_t count);
  GrpcAnswer Call(const std::string& path, std::string_view message, const Fields& more = {});

  // Until the server closes the connection.
  void ReadToEnd();
  // The error code of the server's last GOAWAY.
  std::optional<uint32_t> goaway() const { return goaway_; }
  int pings() const { return pings_; }

  // What nghttp2 has to send. False: the server has closed the connection.
  bool Flush();
  // Past nghttp2. While the server does not read, what it sends is read here, so that neither waits for the other.
  bool SendRaw(std::string_view bytes);
  // False: the connection has ended.
  bool ReadSome();
  void Close() { socket_ = UniqueFd(); }

 private:
  // ReadSome, without an answer.
  bool Receive();
  bool Handshake();

  struct Callbacks;
  struct Body {
    std::string bytes;
    bool end;
    size_t sent = 0;
  };

  UniqueFd socket_;
  const std::unique_ptr<TestTls> tls_;
  bool connected_ = false;
  nghttp2_session* http2_ = nullptr;
  std::vector<std::unique_ptr<Body>> bodies_;
  std::map<int32_t, Body*> by_stream_;
  std::map<int32_t, GrpcAnswer> answers_;
  std::optional<uint32_t> goaway_;
  int pings_ = 0;
};

}  // namespace tflite_serving
