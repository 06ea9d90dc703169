#include "transport/grpc/grpc_connection.h"

#include <algorithm>
#include <utility>

#include <boost/asio/error.hpp>

#include "telemetry/log.h"
#include "transport/grpc/grpc_loop.h"

namespace tflite_serving {

GrpcConnection::GrpcConnection(GrpcLoop& loop, Socket socket, TimePoint now)
    : loop_(loop), socket_(std::move(socket)), session_(loop, [this] { Flush(); }, now) {}

void GrpcConnection::Start() {
  Flush();
  Read();
}

void GrpcConnection::Read() {
  if (closed_) return;
  // Only waits: a read on its way may have taken bytes that its handler has not seen yet, when ReadMore is called by others and takes the next.
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const ErrorCode& error) { self->OnReadable(error); });
}

void GrpcConnection::OnReadable(ErrorCode error) {
  if (closed_) return;
  const size_t size = error ? 0 : socket_.read_some(asio::buffer(input_), error);
  if (error == asio::error::would_block) return Read();
  if (error) return Close();
  if (lingering_) {
    lingered_bytes_ += size;
    return lingered_bytes_ > kGrpcLingerBytes ? Close() : Read();
  }
  bool going = session_.Receive({input_.data(), size}, Clock::Steady().Now());
  if (going && size == input_.size()) going = ReadMore();
  if (!going) return Close();
  AwaitRest();
  Flush();
  Read();
}

void GrpcConnection::AwaitRest() {
  const size_t size = std::clamp<size_t>(session_.missing_bytes(), 1, kMaxLowWaterBytes);
  if (size == low_water_) return;
  ErrorCode error;
  if (!socket_.set_option(Socket::receive_low_watermark(static_cast<int>(size)), error)) low_water_ = size;
}

bool GrpcConnection::ReadMore() {
  GrpcInput& input = loop_.input();
  bool is_full = true;
  for (size_t total = 0; is_full && total < kMaxBytesPerTurn;) {
    ErrorCode error;
    const size_t size = socket_.read_some(input.Prepare(session_.landing()), error);
    if (error) break;  // what is not just would_block, the next Read sees again
    is_full = size == input.room_bytes();
    total += size;
    const TimePoint now = Clock::Steady().Now();
    if (!input.Deliver(size, [&](std::string_view bytes) { return session_.Receive(bytes, now); })) return false;
  }
  return true;
}

void GrpcConnection::Flush() {
  if (closed_ || blocked_ || lingering_) return;
  for (size_t total = 0;;) {
    if (!session_.FillOutput()) return Close();
    GrpcOutput& output = session_.output();
    if (output.size() == 0) break;
    ErrorCode error;
    const size_t written = socket_.write_some(output.Pieces(), error);
    const auto go_on = [self = shared_from_this()](const ErrorCode& wait_error = {}) {
      self->blocked_ = false;
      if (!wait_error) self->Flush();
    };
    if (error == asio::error::would_block) {
      Block();
      return socket_.async_wait(Socket::wait_write, go_on);
    }
    if (error) return Close();
    session_.ConsumeOutput(written);
    total += written;
    if (total < kMaxBytesPerTurn) continue;
    Block();
    return asio::post(socket_.get_executor(), [go_on] { go_on(); });
  }
  if (session_.done()) Linger();
}

void GrpcConnection::Block() {
  blocked_ = true;
  blocked_since_ = Clock::Steady().Now();
}

void GrpcConnection::Linger() {
  lingering_ = true;
  linger_until_ = Clock::Steady().Now() + kGrpcLingerTimeout;
  ErrorCode error;
  if (socket_.shutdown(Socket::shutdown_send, error)) Close();
}

void GrpcConnection::Close() {
  if (closed_) return;
  closed_ = true;
  session_.Abandon();
  // The session may be what called this: both live on until it has returned.
  asio::post(socket_.get_executor(), [self = shared_from_this()] {});
  ErrorCode error;
  if (socket_.close(error)) TFLS_WARNING("cannot close a gRPC connection: {}", error.message());
  loop_.Remove(*this);
}

TimePoint GrpcConnection::CheckTime(TimePoint now) {
  const bool late = (lingering_ && now >= linger_until_) || (blocked_ && now >= After(blocked_since_, loop_.limits().stall_timeout));
  // A client that pauses in the middle of a message may have sent less than the kernel waits for.
  const bool going = low_water_ == 1 || ReadMore();
  AwaitRest();
  if (late || !going || !session_.CheckTime(now)) {
    Close();
    return kNoDeadline;
  }
  Flush();
  return closed_ ? kNoDeadline : session_.NextDeadline();
}

void GrpcConnection::CloseIfIdle(TimePoint since) {
  if (session_.idle_since(since)) Drain();
}

void GrpcConnection::Drain() {
  if (closed_) return;
  // What has arrived already is still served.
  if (!session_.greeted() && (!ReadMore() || !session_.greeted())) return Close();
  session_.Drain(Clock::Steady().Now());
  Flush();
}

}  // namespace tflite_serving
