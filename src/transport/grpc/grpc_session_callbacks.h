// The door between nghttp2, which is C, and GrpcSession.
#pragma once

#include <nghttp2/nghttp2.h>

namespace tflite_serving {

class GrpcExchange;
class GrpcSession;

// A server's session whose callbacks are `session`'s methods; null if there is no memory. Its owner deletes it.
nghttp2_session* MakeHttp2Session(GrpcSession& session);

// The bodies of responses: the exchange's reply, or the messages of its stream.
nghttp2_data_provider ReplyBody(GrpcExchange& exchange);
nghttp2_data_provider StreamBody(GrpcExchange& exchange);

}  // namespace tflite_serving
