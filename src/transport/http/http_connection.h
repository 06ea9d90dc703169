// One client connection: a coroutine on one event loop that reads a request, has it handled, writes the response, and starts again.
//
// Requests of one connection are handled one at a time, so pipelined ones are answered in order. The first thing that is wrong with a connection's
// bytes is answered and then ends it, since nothing after it can be trusted to be where a request begins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "transport/asio_types.h"
#include "transport/byte_buffer.h"
#include "transport/byte_stream.h"
#include "transport/deferred_sends.h"
#include "transport/http/http_exchange.h"
#include "transport/http/http_loop.h"
#include "transport/http/http_request_parser.h"
#include "transport/http/http_response_head.h"

namespace tflite_serving {

// Everything happens on the loop's thread.
class HttpConnection final : private DeferredSend {
 public:
  // `loop` must outlive the connection; the socket of `stream` is connected, non-blocking, and runs on the loop.
  HttpConnection(HttpLoop& loop, ByteStream stream);
  ~HttpConnection() override;
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // The coroutine, which owns the connection.
  static Coroutine<void> Serve(std::unique_ptr<HttpConnection> connection);

  // For the loop ----

  // Cancels what the connection waits for if its deadline has passed.
  void CheckDeadline(TimePoint now);
  // Closes the connection if it has had no request, or has been shaking hands, since `since`. Bytes that have arrived already are still served.
  void CloseIfIdle(TimePoint since);
  // The server is ending: idle connections are closed, and a request that is arriving must go on soon.
  void Drain(TimePoint now);
  // Closes the connection. A call that a handler still holds is left to its Finish.
  void Abort();
  size_t index() const { return index_; }
  void set_index(size_t index) { index_ = index; }

  // For HttpExchange::Finish, by way of the loop.
  void ResumeAfterFinish();

 private:
  // There is nobody left to answer.
  static constexpr HttpRefusal kHangUp = {-1, {}};

  // The life of the connection, request by request.
  Coroutine<void> Run();
  // TLS's. False: the client, which was told why, does not get in.
  Coroutine<bool> Handshake();

  // Each reads a part of a request; what it returns is why it could not.
  Coroutine<HttpRefusal> ReceiveHead();
  Coroutine<HttpRefusal> ReceiveBody();
  Coroutine<HttpRefusal> ReceiveDeclaredBody();
  Coroutine<HttpRefusal> ReceiveChunkedBody();
  Coroutine<HttpRefusal> InflateBody();
  // Whether the handler has refused the request for its head.
  bool IsRefusedUnread();
  // Passes over a declared body.
  Coroutine<HttpRefusal> DropBody();
  // Drops the next bytes of it, one at least and at most `max_bytes`, and says how many.
  Coroutine<HttpRefusal> DropBytes(size_t max_bytes, size_t& dropped);
  // Takes of a declared body what was read together with the head. Complete: there is nothing else to read.
  HttpRefusal TakeBufferedBody(bool& complete);

  // Adds at least one byte to `buffer`, whose room must not be empty, and at most `max_bytes`, watching the pace.
  Coroutine<HttpRefusal> ReadBodyBytes(ByteBuffer& buffer, size_t max_bytes);
  // When the connection is about to be closed because it is idle: what has arrived in this very moment is still served.
  size_t TakeLastInput(asio::mutable_buffer room, ErrorCode& error);
  HttpRefusal RefuseRead(const ErrorCode& error) const;

  // Until the handler has called Finish. False: the connection was aborted first.
  Coroutine<bool> WaitForFinish();
  // Until Send.
  Coroutine<void> WaitToSend();
  void Send() override { Resume(); }
  // While the handler works: cancels the call when the client goes.
  void WatchClient();
  // Takes what the client has sent in the meantime. False: it need not be watched any longer, because it has gone or sends too much ahead.
  bool TakeInputAhead();
  void Resume();
  void RenderHead(bool keep_alive);
  // These return false if nothing can be written to the client any more.
  Coroutine<bool> Write(std::string_view head, std::string_view body);
  Coroutine<bool> WriteRest(std::string_view head, std::string_view body, size_t written);
  // Writes what the socket takes at once, and says how much that was.
  bool TryWrite(std::string_view head, std::string_view body, size_t& written);

  Coroutine<void> Refuse(HttpRefusal refusal);
  // Tells the client that nothing else will come, then reads what it is still sending.
  Coroutine<void> Linger();

  // Ends the wait for the client, if there is one, with operation_aborted.
  void Cancel();
  void SetDeadline(TimePoint deadline);
  void StartTransfer();
  // Sets the deadline for the next bytes of the transfer.
  void WatchPace();

  HttpLoop& loop_;
  ByteStream stream_;
  size_t index_ = 0;  // in the loop's list

  HttpRequestParser parser_;
  ByteBuffer input_;      // read and not yet used
  HttpRequestHead head_;  // of the current request; its views are dead after ReceiveHead
  bool head_only_ = false;
  std::unique_ptr<HttpExchange> exchange_;  // of the current request, from its head to its response
  std::optional<Resumption> waiter_;        // the coroutine, while it waits for Finish or to send
  bool handled_ = false;                    // Finish has been called
  bool watching_ = false;                   // the client; the coroutine stays suspended until that has ended too

  TimePoint deadline_ = kNoDeadline;
  bool late_ = false;             // it had passed when it was last looked at
  bool expired_ = false;          // and was called so
  TimePoint transfer_started_{};  // of the body being read or the response being written
  uint64_t transferred_ = 0;      // bytes since then
  bool idle_ = false;             // waiting for a request's first byte
  bool handshaking_ = false;
  bool receiving_ = false;  // a request that has begun
  bool aborted_ = false;
};

}  // namespace tflite_serving
