// One gRPC connection on one event loop: carries bytes between a socket and a GrpcSession.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "base/clock.h"
#include "transport/asio_types.h"
#include "transport/byte_stream.h"
#include "transport/deferred_sends.h"
#include "transport/grpc/grpc_limits.h"
#include "transport/grpc/grpc_session.h"

namespace tflite_serving {

class GrpcLoop;

// Everything happens on the loop's thread. The loop and what the connection waits for keep it alive.
class GrpcConnection final : public std::enable_shared_from_this<GrpcConnection>, private DeferredSend {
 public:
  // `loop` must outlive the connection; the socket of `stream` is connected, non-blocking, and runs on the loop.
  GrpcConnection(GrpcLoop& loop, ByteStream stream, TimePoint now);

  // For the loop ----

  void Start();
  // Does what is due; the next time at which something is, not counting what may wait for a sweep.
  TimePoint CheckTime(TimePoint now);
  void CloseIfIdle(TimePoint since);
  void Drain();
  // At once, and calls that handlers hold are cancelled.
  void Close();
  size_t index() const { return index_; }
  void set_index(size_t index) { index_ = index; }

 private:
  // Goes on with TLS's handshake; serves when it is done.
  void Handshake();
  void Serve();
  void Read();
  // Has the kernel wake this thread when a good part of a large message has come, and not for each packet of it.
  void AwaitRest();
  void OnReadable(ErrorCode error);
  // Sends what was put off.
  void CloseBehindReplies();
  // While lingering.
  void Drop();
  // Receives what else has arrived already, up to kMaxBytesPerTurn. False: the connection cannot go on.
  bool ReadMore();
  // Sends what there is to send, until the socket takes no more; then goes on when it does. Lets others have a turn after kMaxBytesPerTurn.
  void Flush();
  // Once what else the loop has to handle is handled; several calls' replies leave in one piece.
  void FlushLater();
  void Send() override;
  void Block();
  // After the last frame: tells the client that nothing else will come, and drops what it still sends.
  void Linger();

  GrpcLoop& loop_;
  ByteStream stream_;
  size_t index_ = 0;  // in the loop's list
  GrpcSession session_;
  std::array<char, kGrpcInputBytes> input_;
  bool handshaking_ = false;
  bool closed_ = false;
  bool blocked_ = false;  // waiting until the socket takes more, or for the next turn
  TimePoint blocked_since_{};
  bool lingering_ = false;
  TimePoint linger_until_{};
  size_t lingered_bytes_ = 0;
  std::shared_ptr<GrpcConnection> until_send_;  // this, while it waits for Send
};

}  // namespace tflite_serving
