#include "transport/grpc/grpc_connection.h"

#include <algorithm>
#include <utility>

#include <boost/asio/error.hpp>

#include "telemetry/log.h"
#include "transport/grpc/grpc_loop.h"

namespace tflite_serving {

GrpcConnection::GrpcConnection(GrpcLoop& loop, ByteStream stream, TimePoint now)
    : loop_(loop), stream_(std::move(stream)), session_(loop, [this] { FlushLater(); }, now) {}

void GrpcConnection::Start() {
  handshaking_ = stream_.is_tls();
  handshaking_ ? Handshake() : Serve();
}

void GrpcConnection::Handshake() {
  if (closed_) return;
  const TlsStream::Progress progress = stream_.tls().Handshake();
  if (progress == TlsStream::Progress::kWantsRead || progress == TlsStream::Progress::kWantsWrite) {
    return stream_.socket().async_wait(progress == TlsStream::Progress::kWantsRead ? Socket::wait_read : Socket::wait_write,
                                       [self = shared_from_this()](const ErrorCode&) { self->Handshake(); });
  }
  handshaking_ = false;
  if (progress == TlsStream::Progress::kDone) return Serve();
  const TlsFailure failure = stream_.tls().failure();
  loop_.tls().CountFailure(failure, stream_.socket(), stream_.tls().FailureDetail());
  if (failure == TlsFailure::kClosed) return Close();
  stream_.DropTls();
  Linger();
  Read();
}

void GrpcConnection::Serve() {
  Flush();
  Read();
}

void GrpcConnection::Read() {
  if (closed_) return;
  // Only waits: a read on its way may have taken bytes that its handler has not seen yet, when ReadMore is called by others and takes the next.
  auto on_readable = [self = shared_from_this()](const ErrorCode& error) { self->OnReadable(error); };
  lingering_ ? stream_.socket().async_wait(Socket::wait_read, std::move(on_readable)) : stream_.AwaitReadable(std::move(on_readable));
}

void GrpcConnection::OnReadable(ErrorCode error) {
  if (closed_) return;
  if (lingering_) return Drop();
  const size_t size = error ? 0 : stream_.ReadSome(asio::buffer(input_), error);
  if (error == asio::error::would_block) return Read();
  if (error) return CloseBehindReplies();
  if (!session_.greeted() && input_.front() == kTlsFirstByte) loop_.tls().CountFailure(TlsFailure::kPlainPort, stream_.socket(), {});
  bool going = session_.Receive({input_.data(), size}, Clock::Steady().Now());
  if (going && size == input_.size()) going = ReadMore();
  if (!going) return CloseBehindReplies();
  AwaitRest();
  FlushLater();
  Read();
}

void GrpcConnection::CloseBehindReplies() {
  Flush();
  Close();
}

void GrpcConnection::Drop() {
  ErrorCode error;
  lingered_bytes_ += stream_.socket().read_some(asio::buffer(input_), error);
  const bool at_end = error && error != asio::error::would_block;
  at_end || lingered_bytes_ > kGrpcLingerBytes ? Close() : Read();
}

static_assert(kMaxLowWaterBytes <= kStreamWindowBytes / 2, "the client must be allowed to send what is waited for");

void GrpcConnection::AwaitRest() {
  stream_.SetLowWater(std::min(session_.missing_bytes(), session_.num_calls() > 1 ? kMaxSharedLowWaterBytes : kMaxLowWaterBytes));
}

bool GrpcConnection::ReadMore() {
  GrpcInput& input = loop_.input();
  bool is_full = true;
  for (size_t total = 0; is_full && total < kMaxBytesPerTurn;) {
    ErrorCode error;
    const size_t size = stream_.ReadSome(input.Prepare(session_.landing()), error);
    if (error) break;  // what is not just would_block, the next Read sees again
    is_full = size == input.room_bytes();
    total += size;
    const TimePoint now = Clock::Steady().Now();
    if (!input.Deliver(size, [&](std::string_view bytes) { return session_.Receive(bytes, now); })) return false;
  }
  return true;
}

void GrpcConnection::Flush() {
  if (closed_ || blocked_ || lingering_ || handshaking_) return;
  for (size_t total = 0;;) {
    if (!session_.FillOutput()) return Close();
    GrpcOutput& output = session_.output();
    if (output.size() == 0) break;
    ErrorCode error;
    const size_t written = stream_.WriteSome(output.Pieces(), error);
    const auto go_on = [self = shared_from_this()](const ErrorCode& wait_error = {}) {
      self->blocked_ = false;
      if (!wait_error) self->Flush();
    };
    if (error == asio::error::would_block) {
      Block();
      return stream_.AwaitWritable(go_on);
    }
    if (error) return Close();
    session_.ConsumeOutput(written);
    total += written;
    if (total < kMaxBytesPerTurn) continue;
    Block();
    return asio::post(stream_.socket().get_executor(), [go_on] { go_on(); });
  }
  if (session_.done()) Linger();
}

void GrpcConnection::FlushLater() {
  if (closed_ || blocked_ || lingering_ || handshaking_) return;
  if (!session_.FillOutput()) return Close();
  if (session_.output().size() == 0 || !loop_.sends().Defer(*this)) return Flush();
  until_send_ = shared_from_this();
}

void GrpcConnection::Send() {
  const std::shared_ptr<GrpcConnection> self = std::move(until_send_);
  Flush();
}

void GrpcConnection::Block() {
  blocked_ = true;
  blocked_since_ = Clock::Steady().Now();
}

void GrpcConnection::Linger() {
  lingering_ = true;
  linger_until_ = Clock::Steady().Now() + kGrpcLingerTimeout;
  ErrorCode error;
  stream_.ShutdownSend(error);
  if (error) Close();
}

void GrpcConnection::Close() {
  if (closed_) return;
  closed_ = true;
  session_.Abandon();
  // The session may be what called this: both live on until it has returned.
  asio::post(stream_.socket().get_executor(), [self = shared_from_this()] {});
  ErrorCode error;
  stream_.Close(error);
  if (error) TFLS_WARNING("cannot close a gRPC connection: {}", error.message());
  loop_.Remove(*this);
}

TimePoint GrpcConnection::CheckTime(TimePoint now) {
  const bool late = (lingering_ && now >= linger_until_) || (blocked_ && now >= After(blocked_since_, loop_.limits().stall_timeout));
  // A client that pauses in the middle of a message may have sent less than the kernel waits for.
  const bool going = stream_.low_water() == 1 || ReadMore();
  if (late || !going || !session_.CheckTime(now)) {
    if (handshaking_) loop_.tls().CountFailure(TlsFailure::kTimeout, stream_.socket(), {});
    Close();
    return kNoDeadline;
  }
  AwaitRest();  // of a call that has ended meanwhile, nothing is awaited
  Flush();
  return closed_ ? kNoDeadline : session_.NextDeadline();
}

void GrpcConnection::CloseIfIdle(TimePoint since) {
  if (session_.idle_since(since)) Drain();
}

void GrpcConnection::Drain() {
  if (closed_) return;
  // What has arrived already is still served.
  if (handshaking_) return Close();
  if (!session_.greeted() && (!ReadMore() || !session_.greeted())) return Close();
  session_.Drain(Clock::Steady().Now());
  Flush();
}

}  // namespace tflite_serving
