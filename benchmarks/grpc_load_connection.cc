#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <map>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nghttp2/nghttp2.h>

#include "load_connection.h"

namespace tflite_serving {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
constexpr size_t kWriteBytes = size_t{256} << 10;
// grpc-status
constexpr int kOkCode = 0;
constexpr int kResourceExhausted = 8;
constexpr int kUnavailable = 14;

nghttp2_nv Header(std::string_view name, std::string_view value) {
  return {const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(name.data())), const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(value.data())),
          name.size(), value.size(), NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

class GrpcLoadConnection : public LoadConnection {
 public:
  GrpcLoadConnection(const LoadRequest& request, Opened opened, Done done) : request_(request), opened_(std::move(opened)), done_(std::move(done)) {}
  ~GrpcLoadConnection() override { Close(); }

  void Open() override {
    Close();
    socket_ = ConnectToLoopback(request_.port);
    opened_(*this, socket_);
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, &OnHeader);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, &OnStreamClose);
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
    Write();
  }

  void Send(size_t id) override {
    Submit(id);
    Write();
  }

  void OnReady() override {
    char chunk[kReadBytes];
    for (;;) {
      const ssize_t size = ::recv(socket_, chunk, sizeof(chunk), 0);
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) break;
      const bool broken = size <= 0 || nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(chunk), static_cast<size_t>(size)) < 0;
      if (broken) return Reopen();
    }
    Write();
  }

 private:
  struct Call {
    size_t id = 0;
    size_t sent = 0;  // of the body
    int grpc_status = -1;
  };

  void Submit(size_t id) {
    const nghttp2_nv headers[] = {Header(":method", "POST"),         Header(":scheme", "http"), Header(":path", request_.path),
                                  Header(":authority", "localhost"), Header("te", "trailers"),  Header("content-type", request_.content_type)};
    const nghttp2_data_provider body{.source = {}, .read_callback = &ReadBody};
    const int32_t stream = nghttp2_submit_request(session_, nullptr, headers, std::size(headers), &body, nullptr);
    if (stream < 0) {
      fmt::print(stderr, "nghttp2_submit_request: {}\n", nghttp2_strerror(stream));
      std::exit(EXIT_FAILURE);
    }
    calls_[stream] = {.id = id};
  }

  void Write() {
    for (;;) {
      while (output_.size() < kWriteBytes) {
        const uint8_t* data = nullptr;
        const ssize_t size = nghttp2_session_mem_send(session_, &data);
        if (size <= 0) break;
        output_.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
      }
      if (output_.empty()) return;
      const ssize_t size = ::send(socket_, output_.data(), output_.size(), MSG_NOSIGNAL);
      if (size < 0) return;  // full, or broken, which reading tells
      output_.erase(0, static_cast<size_t>(size));
    }
  }

  void Close() {
    if (socket_ < 0) return;
    nghttp2_session_del(session_);
    ::close(socket_);
    output_.clear();
  }

  void Reopen() {
    const std::map<int32_t, Call> failed = std::exchange(calls_, {});
    Open();
    for (const auto& [stream, call] : failed) done_(*this, call.id, Outcome::kFailed);
  }

  static ssize_t ReadBody(nghttp2_session*, int32_t stream, uint8_t* data, size_t length, uint32_t* flags, nghttp2_data_source*, void* self) {
    GrpcLoadConnection& connection = *static_cast<GrpcLoadConnection*>(self);
    const std::string& body = connection.request_.body;
    size_t& sent = connection.calls_[stream].sent;
    const size_t size = body.copy(reinterpret_cast<char*>(data), length, sent);
    sent += size;
    if (sent == body.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_length, const uint8_t* value,
                      size_t value_length, uint8_t, void* self) {
    if (std::string_view(reinterpret_cast<const char*>(name), name_length) != "grpc-status") return 0;
    const auto call = static_cast<GrpcLoadConnection*>(self)->calls_.find(frame->hd.stream_id);
    const char* const text = reinterpret_cast<const char*>(value);
    if (call != static_cast<GrpcLoadConnection*>(self)->calls_.end()) std::from_chars(text, text + value_length, call->second.grpc_status);
    return 0;
  }

  static int OnStreamClose(nghttp2_session*, int32_t stream, uint32_t, void* self) {
    GrpcLoadConnection& connection = *static_cast<GrpcLoadConnection*>(self);
    const auto found = connection.calls_.find(stream);
    if (found == connection.calls_.end()) return 0;
    const Call call = found->second;
    connection.calls_.erase(found);
    const bool refused = call.grpc_status == kResourceExhausted || call.grpc_status == kUnavailable;
    connection.done_(connection, call.id, call.grpc_status == kOkCode ? Outcome::kOk : refused ? Outcome::kRefused : Outcome::kFailed);
    return 0;
  }

  const LoadRequest& request_;
  const Opened opened_;
  const Done done_;
  int socket_ = -1;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, Call> calls_;
  std::string output_;
};

}  // namespace

std::unique_ptr<LoadConnection> MakeGrpcLoadConnection(const LoadRequest& request, LoadConnection::Opened opened, LoadConnection::Done done) {
  return std::make_unique<GrpcLoadConnection>(request, std::move(opened), std::move(done));
}

}  // namespace tflite_serving
