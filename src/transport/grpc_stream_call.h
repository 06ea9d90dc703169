// One streaming gRPC call, as the gRPC server hands it to the API: any number of messages in and out.
//
// For the standard services beside the models' (health, reflection), so it is made for few, small messages: they are copied.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace tflite_serving {

// Wakes the call's handler from any thread. Thread-safe; may be kept and used longer than the call lives, without effect then.
class GrpcWaker {
 public:
  virtual ~GrpcWaker() = default;
  // GrpcStreamHandler::OnWake is called soon, on the call's own thread.
  virtual void Wake() = 0;
};

// The call, for its handler, from within the handler's methods only.
class GrpcStreamCall {
 public:
  virtual ~GrpcStreamCall() = default;
  // A serialized message to the client.
  virtual void Send(std::string message) = 0;
  // Ends the call after the messages sent before. The handler is destroyed soon, and nothing of it is called any more.
  virtual void Finish(const Status& status) = 0;
  virtual std::shared_ptr<GrpcWaker> waker() = 0;
};

// What a service does with one call. All methods run on the call's own thread, an event loop's: they must not block. Destroyed when the call has
// ended, by Finish, by the client or by the server's shutdown.
class GrpcStreamHandler {
 public:
  virtual ~GrpcStreamHandler() = default;
  virtual void OnMessage(std::string_view message) = 0;
  // The client sends nothing more.
  virtual void OnEnd() = 0;
  virtual void OnWake() {}
};

// Thread-safe. `call` outlives the handler.
using GrpcStreamOpener = std::function<std::unique_ptr<GrpcStreamHandler>(GrpcStreamCall& call)>;

struct GrpcStreamMethod {
  std::string path;  // "/grpc.health.v1.Health/Watch"
  GrpcStreamOpener open;
};

}  // namespace tflite_serving
