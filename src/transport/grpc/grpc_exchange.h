// One unary call with the memory of its request and reply: the GrpcCall that a handler holds.
//
// An exchange belongs to its HTTP/2 session from the request's headers until three things are over, in whatever order: the stream, the handler's
// hold on the call, and the writing of the reply's bytes. Then it goes back to its loop's pool.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>

#include "transport/asio_types.h"
#include "transport/byte_buffer.h"
#include "transport/finished_calls.h"
#include "transport/grpc/grpc_message_reader.h"
#include "transport/grpc/grpc_methods.h"
#include "transport/grpc/grpc_request_head.h"
#include "transport/grpc_call.h"

namespace tflite_serving {

class GrpcLoop;
class GrpcSession;
class GrpcStream;

// Thread-compatible, except that Finish may meet what the loop's thread does.
class GrpcExchange final : public GrpcCall, private FinishedCall {
 public:
  GrpcExchange(GrpcLoop& loop, std::shared_ptr<FinishedCalls> finished, std::shared_ptr<InFlightBytes> memory);
  ~GrpcExchange() override;

  std::span<const std::span<const std::byte>> request() const override { return {&request_, 1}; }
  void AlignNext(const std::byte* byte) override { aligned_byte = static_cast<size_t>(byte - request_.data()); }
  std::string_view metadata(std::string_view key) const override { return head.metadata(key); }
  CallIds& ids() override { return ids_; }
  TimePoint deadline() const override { return deadline_time; }
  const Cancellation& cancellation() const override { return cancelled; }
  Status Hold(size_t bytes) override { return held_share_.TrySet(bytes) ? OkStatus() : NoRoomInFlight(); }
  std::span<std::byte> AllocateReply(size_t size_bytes) override;
  void Finish(const Status& status) override;

  // The loop's side, on its thread ----

  // The request is whole: from here on the handler holds the call, until the loop sees that it has finished.
  void Begin();
  // After the handler has returned. True: Finish will have the loop resume the call; false: Finish has come already.
  bool TryWait();
  const Status& status() const { return status_; }
  // The reply with the five bytes before it.
  std::string_view framed_reply();

  // Forgets everything. Keeps memory where it is not more than kMaxPooledMessageBytes; returns its size.
  size_t Recycle();
  void FreeBuffers();

  const std::shared_ptr<InFlightBytes> in_flight;

  // The session's, which alone uses them.
  GrpcSession* session = nullptr;  // null: its connection has gone
  size_t index = 0;                // in the session's list
  int32_t stream_id = -1;          // -1: the stream is over, or is answered and not ours any more
  GrpcRequestHead head;
  const GrpcMethods::Entry* method = nullptr;
  GrpcMessageReader reader{in_flight.get()};
  TimePoint deadline_time = kNoDeadline;
  TimePoint progress{};  // when bytes of the request or of the reply last moved
  Cancellation cancelled;
  size_t aligned_byte = 0;             // of the session's next messages
  bool held = false;                   // by the handler
  bool answered = false;               // a response has been submitted
  size_t packed = 0;                   // bytes of framed_reply() that are in frames
  size_t sent = 0;                     // bytes of framed_reply() that are in the output
  size_t output_runs = 0;              // pieces of framed_reply() that the output still points to
  std::unique_ptr<GrpcStream> stream;  // of a streaming call

 private:
  enum class State { kHandling, kWaiting, kFinished };

  void Resume() override;

  GrpcLoop& loop_;
  const std::shared_ptr<FinishedCalls> finished_;
  std::atomic<State> state_ = State::kHandling;
  std::span<const std::byte> request_;
  Status status_;
  CallIds ids_;
  InFlightShare held_share_{in_flight.get()};
  InFlightShare reply_share_{in_flight.get()};
  ByteBuffer reply_;  // kReplyOffset bytes, the last five of them the prefix, and the reply
};

}  // namespace tflite_serving
