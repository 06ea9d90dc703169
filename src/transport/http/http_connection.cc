#include "transport/http/http_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <boost/asio/error.hpp>

#include "telemetry/log.h"
#include "transport/inflate.h"

namespace tflite_serving {
namespace {

HttpRefusal RefuseInflating(const Status& status) {
  switch (status.code()) {
    case StatusCode::kResourceExhausted:
      return {413, "the inflated request body is larger than this server accepts"};
    case StatusCode::kUnavailable:
      return kOutOfMemory;
    default:
      return {400, "the request body is not valid gzip or deflate data"};
  }
}

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// What is left of a response after its first `written` bytes.
std::array<asio::const_buffer, 2> Unwritten(std::string_view head, std::string_view body, size_t written) {
  const size_t of_head = std::min(written, head.size());
  head.remove_prefix(of_head);
  body.remove_prefix(written - of_head);
  return {asio::buffer(head), asio::buffer(body)};
}

}  // namespace

HttpConnection::HttpConnection(HttpLoop& loop, ByteStream stream) : loop_(loop), stream_(std::move(stream)), parser_(loop.limits()) {
  loop_.Add(*this);
}

HttpConnection::~HttpConnection() {
  if (exchange_ != nullptr) loop_.GiveBack(std::move(exchange_));
  loop_.Remove(*this);
}

Coroutine<void> HttpConnection::Serve(std::unique_ptr<HttpConnection> connection) { co_await connection->Run(); }

Coroutine<void> HttpConnection::Run() {
  if (stream_.is_tls()) {
    const bool done = co_await Handshake();
    if (!done) co_return;
  }
  for (unsigned requests = 1;; ++requests) {
    HttpRefusal refusal = co_await ReceiveHead();
    const bool unread = !refusal && IsRefusedUnread();
    bool complete = false;
    if (unread) {
      refusal = co_await DropBody();
    } else {
      if (!refusal) refusal = TakeBufferedBody(complete);
      if (!refusal && !complete) refusal = co_await ReceiveBody();
      if (!refusal && head_.coding != HttpCoding::kIdentity) refusal = co_await InflateBody();
    }
    if (refusal) {
      if (exchange_ != nullptr) loop_.GiveBack(std::move(exchange_));
      if (refusal.status > 0) co_await Refuse(refusal);
      co_return;
    }

    SetDeadline(kNoDeadline);
    receiving_ = false;
    if (!unread) {
      exchange_->Complete();
      loop_.handler().Handle(*exchange_);
      if (!exchange_->finished()) {
        const bool finished = co_await WaitForFinish();
        if (!finished) co_return;
      } else if (loop_.sends().Defer(*this)) {
        co_await WaitToSend();
      }
    }
    const bool keep_alive = head_.keep_alive && !loop_.draining();
    RenderHead(keep_alive);
    const HttpResponse& response = exchange_->response();
    const bool has_body = !head_only_ && StatusHasBody(response.status);
    const std::string_view body = has_body ? std::string_view(response.body) : std::string_view();
    size_t size = 0;
    if (!TryWrite(exchange_->head(), body, size)) co_return;
    if (size < exchange_->head().size() + body.size()) {
      InFlightShare unwritten(&loop_.in_flight());
      unwritten.Set(body.size());
      const bool written = co_await WriteRest(exchange_->head(), body, size);
      if (!written) co_return;
    }
    loop_.GiveBack(std::move(exchange_));
    if (!keep_alive) {
      if (!input_.empty() || stream_.HasInput()) co_await Linger();
      co_return;
    }
    if (requests % kMaxRequestsPerTurn == 0) co_await asio::post(stream_.socket().get_executor(), kAwait);
  }
}

Coroutine<bool> HttpConnection::Handshake() {
  if (loop_.draining()) co_return false;
  SetDeadline(Clock::Steady().Now() + loop_.limits().header_timeout);
  handshaking_ = true;
  ErrorCode error;
  const TlsStream::Progress progress = co_await stream_.Handshake(error);
  handshaking_ = false;
  if (progress == TlsStream::Progress::kDone) co_return true;
  if (aborted_ || (error && !expired_)) co_return false;
  const TlsFailure failure = stream_.tls().failure();
  loop_.tls().CountFailure(failure, stream_.socket(), stream_.tls().FailureDetail());
  stream_.DropTls();
  if (error || failure == TlsFailure::kClosed) co_return false;
  if (failure == TlsFailure::kNotTls) {
    co_await Refuse({400, "this port speaks HTTPS, not plain HTTP"});
  } else {
    co_await Linger();
  }
  co_return false;
}

// --- Receiving ---

Coroutine<HttpRefusal> HttpConnection::ReceiveHead() {
  head_ = {};
  head_only_ = false;
  bool has_read = false;
  bool head_begun = false;
  while (true) {
    while (input_.view().starts_with("\r\n")) input_.Consume(2);  // RFC 9112, 2.2: blank lines before a request are ignored
    size_t head_size = 0;
    if (const HttpRefusal refusal = parser_.FindHead(input_.view(), head_size)) {
      if (input_.view().starts_with(kTlsFirstByte)) loop_.tls().CountFailure(TlsFailure::kPlainPort, stream_.socket(), {});
      co_return refusal;
    }
    if (head_size > 0) {
      exchange_ = loop_.TakeExchange();
      const HttpRefusal refusal = parser_.ParseHead(input_.view().substr(0, head_size), head_, exchange_->fields());
      head_only_ = head_.method == "HEAD";
      receiving_ = true;
      if (!refusal) exchange_->Begin(*this, head_.method, head_.target, Clock::Steady().Now());
      input_.Consume(head_size);
      co_return refusal;
    }

    if (input_.empty() && !has_read) {
      if (input_.capacity() > kMaxIdleInputBytes) input_.Free();
      idle_ = true;
      SetDeadline(Clock::Steady().Now() + loop_.limits().idle_timeout);
    } else if (!head_begun) {
      head_begun = receiving_ = true;
      SetDeadline(Clock::Steady().Now() + loop_.limits().header_timeout);
    }
    if (input_.room().empty() && !input_.MakeRoom(std::max(kInputBytes, input_.size()))) co_return kOutOfMemory;
    ErrorCode error;
    size_t size = 0;
    const asio::mutable_buffer room(input_.room().data(), input_.room().size());
    if (!idle_ || !loop_.draining()) size = co_await stream_.AsyncReadSome(room, error);
    if (idle_ && size == 0) size = TakeLastInput(room, error);
    input_.Commit(size);
    const bool was_idle = std::exchange(idle_, false);
    if (error) co_return was_idle ? kHangUp : RefuseRead(error);
    has_read = true;
  }
}

HttpRefusal HttpConnection::TakeBufferedBody(bool& complete) {
  complete = false;
  if (head_.chunked) return {};
  ByteBuffer& body = exchange_->body();
  const size_t size = head_.content_length;
  if (!body.MakeAlignedRoom(std::clamp(size, kInputBytes, kFirstBodyBytes), 0)) return kOutOfMemory;
  const std::string_view taken = input_.view().substr(0, size);
  if (!body.Append(taken)) return kOutOfMemory;
  input_.Consume(taken.size());
  complete = body.size() == size;
  return {};
}

bool HttpConnection::IsRefusedUnread() {
  return !head_.chunked && !head_.expects_continue && head_.content_length >= kMinRefusedUnreadBytes && loop_.handler().RefusesUnread(*exchange_);
}

Coroutine<HttpRefusal> HttpConnection::DropBody() {
  const size_t taken = std::min(input_.size(), head_.content_length);
  input_.Consume(taken);
  StartTransfer();
  for (size_t missing = head_.content_length - taken; missing > 0;) {
    WatchPace();
    size_t dropped = 0;
    if (const HttpRefusal refusal = co_await DropBytes(missing, dropped)) co_return refusal;
    transferred_ += dropped;
    missing -= dropped;
  }
  co_return HttpRefusal{};
}

Coroutine<HttpRefusal> HttpConnection::DropBytes(size_t max_bytes, size_t& dropped) {
  ErrorCode error;
  if (stream_.is_tls() || stream_.socket().local_endpoint(error).protocol().family() == AF_UNIX) {
    if (!input_.MakeRoom(kStreamInputBytes)) co_return kOutOfMemory;
    dropped = co_await stream_.AsyncReadSome(asio::mutable_buffer(input_.room().data(), std::min(max_bytes, input_.room().size())), error);
    co_return error ? RefuseRead(error) : HttpRefusal{};
  }
  while (true) {
    co_await stream_.socket().async_wait(Socket::wait_read, asio::redirect_error(kAwait, error));
    if (error) co_return RefuseRead(error);
    // The kernel drops a TCP socket's bytes where they are.
    const ssize_t size = ::recv(stream_.socket().native_handle(), nullptr, max_bytes, MSG_TRUNC | MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (size <= 0) co_return kHangUp;
    dropped = static_cast<size_t>(size);
    co_return HttpRefusal{};
  }
}

Coroutine<HttpRefusal> HttpConnection::ReceiveBody() {
  StartTransfer();
  if (head_.expects_continue && input_.empty() && exchange_->body().empty()) {
    const bool written = co_await Write(kContinue, {});
    if (!written) co_return kHangUp;
    StartTransfer();
  }
  if (head_.chunked) co_return co_await ReceiveChunkedBody();
  co_return co_await ReceiveDeclaredBody();
}

Coroutine<HttpRefusal> HttpConnection::ReceiveDeclaredBody() {
  ByteBuffer& body = exchange_->body();
  const size_t size = head_.content_length;
  while (body.size() < size) {
    const size_t missing = size - body.size();
    if (body.room().empty() && !body.MakeRoom(std::min(missing, body.size()))) co_return kOutOfMemory;
    stream_.SetLowWater(missing);
    if (const HttpRefusal refusal = co_await ReadBodyBytes(body, std::min(missing, body.room().size()))) co_return refusal;
  }
  stream_.SetLowWater(1);
  co_return HttpRefusal{};
}

Coroutine<HttpRefusal> HttpConnection::ReceiveChunkedBody() {
  ByteBuffer& body = exchange_->body();
  if (!body.MakeRoom(kInputBytes)) co_return kOutOfMemory;
  while (true) {
    size_t consumed = 0;
    bool done = false;
    const HttpRefusal refusal = parser_.DecodeBody(input_.view(), body, consumed, done);
    input_.Consume(consumed);
    if (refusal || done) co_return refusal;
    if (!input_.MakeRoom(kStreamInputBytes)) co_return kOutOfMemory;
    if (const HttpRefusal unread = co_await ReadBodyBytes(input_, input_.room().size())) co_return unread;
  }
}

Coroutine<HttpRefusal> HttpConnection::InflateBody() {
  ByteBuffer& body = exchange_->body();
  if (body.empty()) co_return HttpRefusal{};
  SetDeadline(kNoDeadline);
  ByteBuffer encoded(&loop_.in_flight());
  encoded.Swap(body);
  const CompressedFormat format = head_.coding == HttpCoding::kGzip ? CompressedFormat::kGzip : CompressedFormat::kDeflate;
  Inflater inflater(format, encoded.view(), loop_.limits().max_body_bytes);
  for (bool done = false;;) {
    const Status status = inflater.Step(body, done);
    if (!status.ok()) co_return RefuseInflating(status);
    if (done) co_return HttpRefusal{};
    co_await asio::post(stream_.socket().get_executor(), kAwait);  // the loop's other connections
    if (aborted_) co_return kHangUp;
  }
}

size_t HttpConnection::TakeLastInput(asio::mutable_buffer room, ErrorCode& error) {
  if (aborted_ || (error && error != asio::error::operation_aborted)) return 0;
  return stream_.ReadSome(room, error);
}

Coroutine<HttpRefusal> HttpConnection::ReadBodyBytes(ByteBuffer& buffer, size_t max_bytes) {
  WatchPace();
  ErrorCode error;
  const size_t size = co_await stream_.AsyncReadSome(asio::mutable_buffer(buffer.room().data(), max_bytes), error);
  buffer.Commit(size);
  transferred_ += size;
  co_return error ? RefuseRead(error) : HttpRefusal{};
}

HttpRefusal HttpConnection::RefuseRead(const ErrorCode& error) const {
  if (aborted_) return kHangUp;
  if (error == asio::error::eof) return {400, "the connection was closed in the middle of a request"};
  if (error == asio::error::operation_aborted && expired_) return {408, "the request did not arrive in time"};
  return kHangUp;
}

// --- Handling ---

Coroutine<bool> HttpConnection::WaitForFinish() {
  co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(
      [this](Resumption resumption) {
        waiter_.emplace(std::move(resumption));
        handled_ = false;
        if (exchange_->TryWait()) {
          WatchClient();
        } else {
          asio::post(stream_.socket().get_executor(), [this] { ResumeAfterFinish(); });
        }
      },
      kAwait);
  co_return !aborted_;
}

Coroutine<void> HttpConnection::WaitToSend() {
  return asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(
      [this](Resumption resumption) { waiter_.emplace(std::move(resumption)); }, kAwait);
}

void HttpConnection::WatchClient() {
  watching_ = true;
  stream_.AwaitReadable([this](const ErrorCode& error) {
    watching_ = false;
    if (handled_) return Resume();
    if (!error && !aborted_ && TakeInputAhead()) WatchClient();
  });
}

bool HttpConnection::TakeInputAhead() {
  if (input_.size() >= kStreamInputBytes) return false;
  if (input_.room().empty() && !input_.MakeRoom(std::max(kInputBytes, input_.size()))) return false;
  ErrorCode error;
  input_.Commit(stream_.ReadSome(asio::mutable_buffer(input_.room().data(), input_.room().size()), error));
  if (!error || error == asio::error::would_block) return true;
  exchange_->Cancel();
  return false;
}

void HttpConnection::ResumeAfterFinish() {
  handled_ = true;
  if (watching_) return Cancel();  // which ends the watch, and that resumes
  Resume();
}

void HttpConnection::Resume() {
  Resumption resumption = std::move(*waiter_);
  waiter_.reset();
  resumption();
}

// --- Answering ---

void HttpConnection::RenderHead(bool keep_alive) {
  HttpPersistence persistence = HttpPersistence::kClose;
  if (keep_alive) persistence = head_.http_1_0 ? HttpPersistence::kKeepAliveHttp10 : HttpPersistence::kKeepAlive;
  RenderResponseHead(exchange_->response(), loop_.Date(), persistence, exchange_->head());
}

Coroutine<bool> HttpConnection::Write(std::string_view head, std::string_view body) {
  size_t written = 0;
  if (!TryWrite(head, body, written)) co_return false;
  co_return co_await WriteRest(head, body, written);
}

Coroutine<bool> HttpConnection::WriteRest(std::string_view head, std::string_view body, size_t written) {
  StartTransfer();
  while (written < head.size() + body.size()) {
    WatchPace();
    ErrorCode error;
    const std::array<asio::const_buffer, 2> unwritten = Unwritten(head, body, written);
    const size_t size = co_await stream_.AsyncWriteSome(unwritten, error);
    if (error) co_return false;
    written += size;
    transferred_ += size;
  }
  co_return true;
}

bool HttpConnection::TryWrite(std::string_view head, std::string_view body, size_t& written) {
  ErrorCode error;
  written = stream_.WriteSome(Unwritten(head, body, 0), error);
  return !error || error == asio::error::would_block;
}

Coroutine<void> HttpConnection::Refuse(HttpRefusal refusal) {
  loop_.refusals().Count(refusal.status);
  HttpResponse response;
  response.status = refusal.status;
  response.headers = loop_.error_headers();
  if (refusal.status == 415) response.headers.emplace_back("Accept-Encoding", "gzip, deflate");
  response.body = HttpErrorBody(refusal.message);
  std::string head;
  RenderResponseHead(response, loop_.Date(), HttpPersistence::kClose, head);
  const bool written = co_await Write(head, head_only_ ? std::string_view() : std::string_view(response.body));
  if (written) co_await Linger();
}

Coroutine<void> HttpConnection::Linger() {
  ErrorCode error;
  input_.Clear();
  stream_.ShutdownSend(error);
  if (error || !input_.MakeRoom(kStreamInputBytes)) co_return;
  SetDeadline(Clock::Steady().Now() + (loop_.draining() ? loop_.limits().drain_patience : kLingerTimeout));
  const asio::mutable_buffer room(input_.room().data(), input_.room().size());
  for (size_t dropped = 0; dropped < kLingerBytes && !expired_ && !error;) {
    dropped += co_await stream_.socket().async_read_some(room, asio::redirect_error(kAwait, error));
  }
}

// --- Deadlines and the end ---

void HttpConnection::SetDeadline(TimePoint deadline) {
  deadline_ = deadline;
  expired_ = false;
}

void HttpConnection::StartTransfer() {
  transfer_started_ = Clock::Steady().Now();
  transferred_ = 0;
}

void HttpConnection::WatchPace() {
  const HttpLimits& limits = loop_.limits();
  const TimePoint at_this_rate = transfer_started_ + limits.progress_timeout + std::chrono::seconds(transferred_ / limits.min_bytes_per_second);
  const bool hurries = receiving_ && loop_.draining();
  SetDeadline(std::min(Clock::Steady().Now() + (hurries ? limits.drain_patience : limits.progress_timeout), at_this_rate));
}

void HttpConnection::CheckDeadline(TimePoint now) {
  const bool may_have_more = stream_.low_water() > 1;
  stream_.SetLowWater(1);
  const bool was_late = std::exchange(late_, now >= deadline_);
  // What has come, though less than was waited for, is read before the client is called late.
  if (!late_ || (may_have_more && !was_late)) return;
  expired_ = true;
  Cancel();
}

void HttpConnection::CloseIfIdle(TimePoint since) {
  if (idle_ && deadline_ - loop_.limits().idle_timeout <= since) Cancel();
  if (handshaking_ && deadline_ - loop_.limits().header_timeout <= since) Cancel();
}

void HttpConnection::Drain(TimePoint now) {
  CloseIfIdle(kNoDeadline);
  if (receiving_) deadline_ = std::min(deadline_, now + loop_.limits().drain_patience);
}

void HttpConnection::Cancel() {
  ErrorCode error;
  if (stream_.socket().is_open() && stream_.socket().cancel(error)) TFLS_WARNING("cannot stop waiting for an HTTP client: {}", error.message());
}

void HttpConnection::Abort() {
  aborted_ = true;
  ErrorCode error;
  stream_.Close(error);
  if (error) TFLS_WARNING("cannot close an HTTP connection: {}", error.message());
  if (!waiter_.has_value()) return;
  exchange_->Cancel();
  if (!exchange_->TryAbandon()) return;
  exchange_.release();  // NOLINT(bugprone-unused-return-value): Finish deletes it
  asio::post(stream_.socket().get_executor(), [this] { ResumeAfterFinish(); });
}

}  // namespace tflite_serving
