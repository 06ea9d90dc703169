// A streaming call: what GrpcExchange is for a unary one, beside the exchange that carries its headers.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "transport/asio_types.h"
#include "transport/grpc_stream_call.h"

namespace tflite_serving {

class GrpcExchange;
class GrpcSession;

// On the loop's thread.
class GrpcStream final : public GrpcStreamCall {
 public:
  // `session` and `exchange` outlive the stream.
  GrpcStream(GrpcSession& session, GrpcExchange& exchange, std::shared_ptr<asio::io_context> io);
  ~GrpcStream() override;

  void Send(std::string message) override;
  void Finish(const Status& status) override;
  std::shared_ptr<GrpcWaker> waker() override;

  // For the session ----

  void Open(const GrpcStreamOpener& opener);
  // Each does nothing once the call is finished.
  void OnMessage(std::string_view message);
  void OnEnd();

  // Writes frames of messages that wait into `room`; the size written.
  size_t Take(char* room, size_t room_size);
  bool has_output() const { return !queue_.empty(); }
  bool finished() const { return finished_; }
  const Status& status() const { return status_; }

 private:
  class Waker;

  void OnWake();
  // Destroys the handler once it is not running and the call is finished.
  void DropFinishedHandler();

  GrpcSession& session_;
  GrpcExchange& exchange_;
  const std::shared_ptr<Waker> waker_;
  std::unique_ptr<GrpcStreamHandler> handler_;
  std::deque<std::string> queue_;  // messages with their five bytes
  size_t queued_bytes_ = 0;
  size_t taken_ = 0;  // of the first
  bool finished_ = false;
  Status status_;
};

}  // namespace tflite_serving
