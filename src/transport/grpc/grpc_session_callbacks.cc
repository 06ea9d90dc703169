#include "transport/grpc/grpc_session_callbacks.h"

#include <memory>
#include <string_view>

#include "transport/grpc/grpc_exchange.h"
#include "transport/grpc/grpc_limits.h"
#include "transport/grpc/grpc_session.h"

namespace tflite_serving {
namespace {

std::string_view View(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

GrpcExchange* ExchangeOf(nghttp2_session* http2, int32_t stream_id) {
  return static_cast<GrpcExchange*>(nghttp2_session_get_stream_user_data(http2, stream_id));
}

struct DeleteCallbacks {
  void operator()(nghttp2_session_callbacks* callbacks) const { nghttp2_session_callbacks_del(callbacks); }
};
using Callbacks = std::unique_ptr<nghttp2_session_callbacks, DeleteCallbacks>;
struct DeleteOption {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};
using Option = std::unique_ptr<nghttp2_option, DeleteOption>;

Option MakeOption() {
  nghttp2_option* made = nullptr;
  if (nghttp2_option_new(&made) != 0) return nullptr;
  Option option(made);
  nghttp2_option_set_no_closed_streams(made, 1);
  // CountIdleFrame has the say.
  nghttp2_option_set_stream_reset_rate_limit(made, 2 * kMaxIdleFrames, 2 * kIdleFramesPerSecond);
  return option;
}

}  // namespace

struct GrpcSessionCallbacks {
  static GrpcSession& Of(void* session) { return *static_cast<GrpcSession*>(session); }

  static int OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* head, void* session) { return Of(session).OnBeginFrame(*head); }

  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* session) {
    return frame->headers.cat == NGHTTP2_HCAT_REQUEST ? Of(session).OnBeginRequest(frame->hd.stream_id) : 0;
  }

  static int OnHeader(nghttp2_session* http2, const nghttp2_frame* frame, const uint8_t* name, size_t name_size, const uint8_t* value,
                      size_t value_size, uint8_t, void* session) {
    GrpcExchange* const exchange = ExchangeOf(http2, frame->hd.stream_id);
    return exchange == nullptr ? 0 : Of(session).OnHeader(*exchange, View(name, name_size), View(value, value_size));
  }

  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* session) { return Of(session).OnFrame(*frame); }

  static int OnInvalidFrame(nghttp2_session*, const nghttp2_frame*, int, void* session) {
    Of(session).CountIdleFrame();
    return 0;
  }

  static int OnData(nghttp2_session* http2, uint8_t, int32_t stream_id, const uint8_t* data, size_t size, void* session) {
    GrpcExchange* const exchange = ExchangeOf(http2, stream_id);
    return exchange == nullptr ? 0 : Of(session).OnData(*exchange, View(data, size));
  }

  static int OnStreamClose(nghttp2_session* http2, int32_t stream_id, uint32_t, void* session) {
    GrpcExchange* const exchange = ExchangeOf(http2, stream_id);
    if (exchange != nullptr) Of(session).OnStreamClose(*exchange);
    return 0;
  }

  static int OnFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* session) {
    Of(session).OnFrameSent(*frame);
    return 0;
  }

  static ssize_t PackReply(nghttp2_session*, int32_t, uint8_t* room, size_t size, uint32_t* flags, nghttp2_data_source* source, void* session) {
    return Of(session).PackReply(*static_cast<GrpcExchange*>(source->ptr), reinterpret_cast<char*>(room), size, *flags);
  }

  static ssize_t PackStream(nghttp2_session*, int32_t, uint8_t* room, size_t size, uint32_t* flags, nghttp2_data_source* source, void* session) {
    return Of(session).PackStream(*static_cast<GrpcExchange*>(source->ptr), reinterpret_cast<char*>(room), size, *flags);
  }

  static int SendReply(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_head, size_t size, nghttp2_data_source* source, void* session) {
    constexpr size_t kFrameHeadBytes = 9;
    return Of(session).SendReply(*static_cast<GrpcExchange*>(source->ptr), View(frame_head, kFrameHeadBytes), size);
  }

  static Callbacks Make() {
    nghttp2_session_callbacks* made = nullptr;
    if (nghttp2_session_callbacks_new(&made) != 0) return nullptr;
    nghttp2_session_callbacks_set_on_begin_frame_callback(made, OnBeginFrame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, OnBeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(made, OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, OnFrame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, OnInvalidFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, OnData);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, OnStreamClose);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, OnFrameSent);
    nghttp2_session_callbacks_set_send_data_callback(made, SendReply);
    return Callbacks(made);
  }
};

nghttp2_session* MakeHttp2Session(GrpcSession& session) {
  static const Callbacks callbacks = GrpcSessionCallbacks::Make();
  static const Option option = MakeOption();
  nghttp2_session* http2 = nullptr;
  if (callbacks == nullptr || option == nullptr || nghttp2_session_server_new2(&http2, callbacks.get(), &session, option.get()) != 0) return nullptr;
  return http2;
}

nghttp2_data_provider ReplyBody(GrpcExchange& exchange) { return {.source = {.ptr = &exchange}, .read_callback = GrpcSessionCallbacks::PackReply}; }
nghttp2_data_provider StreamBody(GrpcExchange& exchange) { return {.source = {.ptr = &exchange}, .read_callback = GrpcSessionCallbacks::PackStream}; }

}  // namespace tflite_serving
