#include "transport/byte_stream.h"

#include <algorithm>

#include <boost/asio/error.hpp>

namespace tflite_serving {

Coroutine<TlsStream::Progress> ByteStream::Handshake(ErrorCode& error) {
  while (true) {
    const TlsStream::Progress progress = tls_->Handshake();
    if (progress == TlsStream::Progress::kDone || progress == TlsStream::Progress::kFailed) co_return progress;
    const bool wants_write = progress == TlsStream::Progress::kWantsWrite;
    co_await socket_.async_wait(wants_write ? Socket::wait_write : Socket::wait_read, asio::redirect_error(kAwait, error));
    if (error) co_return TlsStream::Progress::kFailed;
  }
}

void ByteStream::SetLowWater(size_t bytes) {
  const size_t size = is_tls() || bytes < kMinLowWaterBytes ? 1 : std::min(bytes, kMaxLowWaterBytes);
  if (size == low_water_) return;
  ErrorCode error;
  if (!socket_.set_option(Socket::receive_low_watermark(static_cast<int>(size)), error)) low_water_ = size;
}

bool ByteStream::TurnIsOver(size_t bytes) {
  turn_bytes_ += bytes;
  if (turn_bytes_ < TlsStream::kMaxBytesPerCall) return false;
  turn_bytes_ = 0;
  return true;
}

Coroutine<size_t> ByteStream::ReadTls(asio::mutable_buffer room, ErrorCode& error) {
  while (true) {
    const size_t size = tls_->Read({&room, 1}, error);
    if (error != asio::error::would_block) {
      if (TurnIsOver(size)) co_await asio::post(socket_.get_executor(), kAwait);
      co_return size;
    }
    turn_bytes_ = 0;
    co_await socket_.async_wait(tls_->read_waits_for(), asio::redirect_error(kAwait, error));
    if (error) co_return 0;
  }
}

Coroutine<size_t> ByteStream::WriteTls(std::span<const asio::const_buffer> bytes, ErrorCode& error) {
  while (true) {
    const size_t size = tls_->Write(bytes, error);
    if (error != asio::error::would_block) {
      if (TurnIsOver(size)) co_await asio::post(socket_.get_executor(), kAwait);
      co_return size;
    }
    turn_bytes_ = 0;
    co_await socket_.async_wait(tls_->write_waits_for(), asio::redirect_error(kAwait, error));
    if (error) co_return 0;
  }
}

}  // namespace tflite_serving
