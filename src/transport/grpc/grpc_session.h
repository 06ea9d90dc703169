// gRPC over one HTTP/2 connection, without the connection: bytes in, calls out to the methods, bytes out. HTTP/2 itself is nghttp2's.
//
// What a client sends wrong ends its call (a status, or RST_STREAM) or, where HTTP/2 says so, the connection (GOAWAY). grpc_limits.h has the limits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <nghttp2/nghttp2.h>

#include "base/clock.h"
#include "transport/grpc/grpc_exchange.h"
#include "transport/grpc/grpc_input.h"
#include "transport/grpc/grpc_limits.h"
#include "transport/grpc/grpc_output.h"

namespace tflite_serving {

class GrpcLoop;

// On the loop's thread.
class GrpcSession {
 public:
  // `loop` outlives the session. `flush` is called when there is output that nobody asked for: a call finished later, a stream was woken.
  GrpcSession(GrpcLoop& loop, std::function<void()> flush, TimePoint now);
  ~GrpcSession();
  GrpcSession(const GrpcSession&) = delete;
  GrpcSession& operator=(const GrpcSession&) = delete;

  // Takes bytes of the client, and runs the handlers of calls that are complete. False: the connection cannot go on, and what is in output() then is
  // of no use to the client. Not to be called by `flush`.
  [[nodiscard]] bool Receive(std::string_view bytes, TimePoint now);
  // Adds frames to output() until it holds about kMaxQueuedOutputBytes. False: as above.
  [[nodiscard]] bool FillOutput();
  // Where the next bytes that the client sends may be received; Receive then finds them in place.
  GrpcLanding landing() const;
  GrpcOutput& output() { return output_; }
  // Drops bytes that were sent.
  void ConsumeOutput(size_t size);
  // Nothing is left to receive or, with an empty output(), to send: the connection should be closed.
  bool done() const;

  // Does what is due, such as answering calls past their deadlines. False: the client is gone or not to be waited for any longer.
  [[nodiscard]] bool CheckTime(TimePoint now);
  // The earliest time at which a call's deadline passes.
  TimePoint NextDeadline() const;

  // Asks the client to go elsewhere, and is done when the calls are; streaming calls are ended.
  void Drain(TimePoint now);
  // The connection has gone: calls that handlers hold see their cancellation set, and go back to the loop when they finish.
  void Abandon();
  bool greeted() const { return greeted_; }
  // So many bytes at least the client is still to send, if it does not change its mind: what is missing of the message that came last.
  size_t missing_bytes() const { return missing_bytes_; }
  // That are not over.
  size_t num_calls() const { return open_.size(); }
  // No calls, since before `since`.
  bool idle_since(TimePoint since) const { return open_.empty() && last_call_ <= since; }

  // Finish has come from another thread.
  void OnFinished(GrpcExchange& exchange);
  // For GrpcStream ----
  void ResumeStream(GrpcExchange& exchange, bool begins_to_wait);
  void FlushOutput() { flush_(); }

 private:
  friend struct GrpcSessionCallbacks;

  // What nghttp2 tells; each returns what nghttp2 wants to hear.
  int OnBeginFrame(const nghttp2_frame_hd& head);
  int OnBeginRequest(int32_t stream_id);
  int OnHeader(GrpcExchange& exchange, std::string_view name, std::string_view value);
  int OnFrame(const nghttp2_frame& frame);
  int OnData(GrpcExchange& exchange, std::string_view bytes);
  void OnStreamClose(GrpcExchange& exchange);
  void OnFrameSent(const nghttp2_frame& frame);
  ssize_t PackReply(GrpcExchange& exchange, char* room, size_t room_size, uint32_t& flags);
  ssize_t PackStream(GrpcExchange& exchange, char* room, size_t room_size, uint32_t& flags);
  int SendReply(GrpcExchange& exchange, std::string_view frame_head, size_t size);

  void OnRequestHead(GrpcExchange& exchange);
  void OnRequestEnd(GrpcExchange& exchange);
  void OnControlFrame(const nghttp2_frame& frame);
  void OpenStream(GrpcExchange& exchange);
  void RunHandler(GrpcExchange& exchange);
  // Submits the reply or the status with which the handler finished.
  void Reply(GrpcExchange& exchange);
  // Ends the call with a status and no message, whatever it is at, and lets go of its stream: as its handler says, or by the session itself.
  void Fail(GrpcExchange& exchange, const Status& status);
  void Refuse(GrpcExchange& exchange, const Status& status);
  void RefuseHttp(GrpcExchange& exchange, int http_status);
  void Reset(int32_t stream_id, uint32_t error_code);
  // Cuts the tie between the call and its HTTP/2 stream.
  void Detach(GrpcExchange& exchange);
  void ReleaseIfOver(GrpcExchange& exchange);
  // True: it was one too many, and the connection is being ended.
  bool CountIdleFrame();
  void EndConnection(uint32_t error_code);
  void FinishDrain();
  void CheckCalls();
  bool CheckKeepalive();
  void Expect(int nghttp2_result);

  GrpcLoop& loop_;
  const GrpcLimits& limits_;
  const std::function<void()> flush_;
  nghttp2_session* http2_ = nullptr;
  GrpcOutput output_;
  std::vector<GrpcExchange*> open_;  // all that are not over; each knows its place
  bool failed_ = false;              // memory or nghttp2 gave up

  size_t missing_bytes_ = 0;
  GrpcLanding frame_;               // the DATA frame that came last, without its room; padded ones count as none
  const char* data_end_ = nullptr;  // of the payload that came last, in what is being received
  size_t aligned_byte_ = 0;         // of messages to come (GrpcMessageReader::Begin): where the last one had its tensor
  TimePoint now_;                   // of the latest event
  const TimePoint started_;
  TimePoint last_heard_;
  TimePoint last_call_;  // when the last call ended
  bool greeted_ = false;
  bool ping_pending_ = false;
  TimePoint ping_sent_{};
  bool ended_ = false;
  bool draining_ = false;
  bool drained_ = false;  // the final GOAWAY has been submitted
  TimePoint drain_started_{};

  int64_t idle_frames_left_ = kMaxIdleFrames;
  TimePoint idle_frames_refilled_;
};

}  // namespace tflite_serving
