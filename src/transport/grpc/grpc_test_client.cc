#include "transport/grpc/grpc_test_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include <gtest/gtest.h>

namespace tflite_serving {

struct GrpcTestClient::Callbacks {
  static ssize_t ReadBody(nghttp2_session*, int32_t, uint8_t* room, size_t size, uint32_t* flags, nghttp2_data_source* source, void*) {
    Body& body = *static_cast<Body*>(source->ptr);
    const size_t step = std::min(size, body.bytes.size() - body.sent);
    if (step == 0 && !body.end) return NGHTTP2_ERR_DEFERRED;
    body.bytes.copy(reinterpret_cast<char*>(room), step, body.sent);
    body.sent += step;
    if (body.end && body.sent == body.bytes.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(step);
  }
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size, const uint8_t* value, size_t value_size,
                      uint8_t, void* self) {
    static_cast<GrpcTestClient*>(self)->answers_[frame->hd.stream_id].fields[{reinterpret_cast<const char*>(name), name_size}].assign(
        reinterpret_cast<const char*>(value), value_size);
    return 0;
  }
  static int OnData(nghttp2_session*, uint8_t, int32_t stream_id, const uint8_t* data, size_t size, void* self) {
    static_cast<GrpcTestClient*>(self)->answers_[stream_id].data.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    auto* const client = static_cast<GrpcTestClient*>(self);
    if (frame->hd.type == NGHTTP2_GOAWAY) client->goaway_ = frame->goaway.error_code;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) ++client->pings_;
    return 0;
  }
  static int OnClose(nghttp2_session*, int32_t stream_id, uint32_t error_code, void* self) {
    GrpcAnswer& answer = static_cast<GrpcTestClient*>(self)->answers_[stream_id];
    answer.over = true;
    answer.reset = error_code;
    return 0;
  }
};

GrpcTestClient::GrpcTestClient(int port, int receive_buffer_bytes, uint32_t window, std::unique_ptr<TestTls> tls)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), tls_(std::move(tls)) {
  if (receive_buffer_bytes > 0) {
    EXPECT_EQ(::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes)), 0);
  }
  const int on = 1;
  EXPECT_EQ(::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connected_ = ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  if (tls_ != nullptr) connected_ = Handshake();
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::OnHeader);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::OnData);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::OnFrame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::OnClose);
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_max_outbound_ack(option, 1 << 20);
  nghttp2_session_client_new2(&http2_, callbacks, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}, {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
  nghttp2_submit_settings(http2_, NGHTTP2_FLAG_NONE, settings, 2);
  Flush();
}

GrpcTestClient::~GrpcTestClient() { nghttp2_session_del(http2_); }

int32_t GrpcTestClient::Begin(const std::string& path, std::string body, const Fields& more, bool end) {
  Fields fields = {{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "test"}, {"content-type", "application/grpc"},
                   {"te", "trailers"}};
  for (const auto& [name, value] : more) {
    const auto same = std::ranges::find(fields, name, &std::pair<std::string, std::string>::first);
    if (same != fields.end()) {
      same->second = value;
    } else {
      fields.emplace_back(name, value);
    }
  }
  std::vector<nghttp2_nv> raw;
  for (auto& [name, value] : fields) {
    raw.push_back({reinterpret_cast<uint8_t*>(name.data()), reinterpret_cast<uint8_t*>(value.data()), name.size(), value.size(), 0});
  }
  bodies_.push_back(std::make_unique<Body>(Body{std::move(body), end}));
  const nghttp2_data_provider provider{.source = {.ptr = bodies_.back().get()}, .read_callback = Callbacks::ReadBody};
  const int32_t id = nghttp2_submit_request(http2_, nullptr, raw.data(), raw.size(), &provider, nullptr);
  EXPECT_GT(id, 0);
  by_stream_[id] = bodies_.back().get();
  answers_[id];
  Flush();
  return id;
}

void GrpcTestClient::Send(int32_t id, std::string_view bytes, bool end) {
  by_stream_[id]->bytes.append(bytes);
  by_stream_[id]->end = end;
  nghttp2_session_resume_data(http2_, id);
  Flush();
}

void GrpcTestClient::Reset(int32_t id) {
  nghttp2_submit_rst_stream(http2_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  Flush();
}

const GrpcAnswer& GrpcTestClient::Await(int32_t id) {
  while (!answers_[id].over && ReadSome()) {
  }
  return answers_[id];
}

const GrpcAnswer& GrpcTestClient::AwaitData(int32_t id, size_t count) {
  while (!answers_[id].over && answers_[id].data.size() < count && ReadSome()) {
  }
  return answers_[id];
}

GrpcAnswer GrpcTestClient::Call(const std::string& path, std::string_view message, const Fields& more) {
  return Await(Begin(path, Framed(message), more));
}

void GrpcTestClient::ReadToEnd() {
  while (ReadSome()) {
  }
}

bool GrpcTestClient::Flush() {
  if (!connected_) return false;
  while (true) {
    const uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(http2_, &data);
    if (size <= 0) return size == 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    if (!(tls_ == nullptr ? SendRaw(bytes) : SendRaw(tls_->Encrypt(bytes)))) return false;
  }
}

bool GrpcTestClient::SendRaw(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
    if (sent > 0) continue;
    if (sent == 0 || errno != EAGAIN) return false;
    pollfd ready{.fd = socket_.get(), .events = POLLIN | POLLOUT, .revents = 0};
    if (::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(kTestPatience).count())) <= 0) return false;
    if ((ready.revents & POLLIN) != 0 && !Receive()) return false;  // and no frame into the middle of this one
  }
  return true;
}

bool GrpcTestClient::ReadSome() {
  if (!Receive()) return false;
  Flush();
  return true;
}

bool GrpcTestClient::Receive() {
  pollfd ready{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(kTestPatience).count())) <= 0) {
    ADD_FAILURE() << "the server neither answered nor closed the connection";
    return false;
  }
  char bytes[65536];
  const ssize_t size = ::recv(socket_.get(), bytes, sizeof(bytes), 0);
  if (size <= 0) return false;
  std::string received(bytes, static_cast<size_t>(size));
  if (tls_ != nullptr) {
    tls_->Input(received);
    if (http2_ == nullptr) return true;
    received = tls_->Decrypt();
  }
  EXPECT_EQ(nghttp2_session_mem_recv(http2_, reinterpret_cast<const uint8_t*>(received.data()), received.size()),
            static_cast<ssize_t>(received.size()));
  return true;
}

bool GrpcTestClient::Handshake() {
  while (true) {
    const bool done = tls_->Handshake();
    if (!SendRaw(tls_->Output()) || done) return done;
    if (!tls_->failure().empty() || !Receive()) return false;
  }
}

}  // namespace tflite_serving
