// A connection's bytes: its socket, with TLS over it or without. Without, each call is the socket's own, after one branch. It has the connection's
// place among those of its server.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "transport/asio_types.h"
#include "transport/open_connections.h"
#include "transport/tls_stream.h"

namespace tflite_serving {

inline constexpr size_t kMinLowWaterBytes = size_t{16} << 10;
inline constexpr size_t kMaxLowWaterBytes = size_t{1} << 20;

// Everything happens on the thread of the socket's loop. What a coroutine is given must outlive it.
class ByteStream {
 public:
  // `tls` is over the same socket; null: there is none.
  explicit ByteStream(Socket socket, OpenConnections::Place place = {}, std::unique_ptr<TlsStream> tls = nullptr)
      : place_(std::move(place)), socket_(std::move(socket)), tls_(std::move(tls)) {}
  // Closes it.
  ~ByteStream() { SendCloseNotify(); }
  ByteStream(ByteStream&&) = default;
  ByteStream& operator=(ByteStream&&) = delete;

  bool is_tls() const { return tls_ != nullptr; }
  // With TLS: to be cancelled, and to be read once the rest of what comes is to be dropped.
  Socket& socket() { return socket_; }

  // With TLS, before anything is read or written: until the handshake is done, or failed, or the wait for the client was ended by `error`.
  Coroutine<TlsStream::Progress> Handshake(ErrorCode& error);
  TlsStream& tls() { return *tls_; }
  // What follows is plain.
  void DropTls() { tls_.reset(); }

  // As the socket's methods of these names. With TLS reads and writes return after TlsStream::kMaxBytesPerCall at the latest; what a write that would
  // have blocked did not take has to be what the next one begins with.
  template <typename Buffers>
  size_t ReadSome(const Buffers& room, ErrorCode& error) {
    return tls_ == nullptr ? socket_.read_some(room, error) : tls_->Read(AsSpan<asio::mutable_buffer>(room), error);
  }
  template <typename Buffers>
  size_t WriteSome(const Buffers& bytes, ErrorCode& error) {
    return tls_ == nullptr ? socket_.write_some(bytes, error) : tls_->Write(AsSpan<asio::const_buffer>(bytes), error);
  }
  Coroutine<size_t> AsyncReadSome(asio::mutable_buffer room, ErrorCode& error) {
    if (tls_ != nullptr) return ReadTls(room, error);
    return socket_.async_read_some(room, asio::redirect_error(kAwait, error));
  }
  template <typename Buffers>
  Coroutine<size_t> AsyncWriteSome(const Buffers& bytes, ErrorCode& error) {
    if (tls_ != nullptr) return WriteTls(AsSpan<asio::const_buffer>(bytes), error);
    return socket_.async_write_some(bytes, asio::redirect_error(kAwait, error));
  }

  // Calls `handler` with an ErrorCode when it is worth while to try again; after a read or write that would have blocked, or did not take all.
  template <typename Handler>
  void AwaitReadable(Handler handler) {
    if (tls_ == nullptr) return socket_.async_wait(Socket::wait_read, std::move(handler));
    if (!tls_->has_input()) return socket_.async_wait(tls_->read_waits_for(), std::move(handler));
    asio::post(socket_.get_executor(), [handler = std::move(handler)]() mutable { handler(ErrorCode()); });
  }
  template <typename Handler>
  void AwaitWritable(Handler handler) {
    socket_.async_wait(tls_ == nullptr ? Socket::wait_write : tls_->write_waits_for(), std::move(handler));
  }

  // From now on the socket is readable when so many bytes have come, kMaxLowWaterBytes at most, or the connection has ended: a long message wakes its
  // reader once rather than for each packet. Fewer than kMinLowWaterBytes count as one, with TLS all do, and local sockets disregard it. As the
  // sender may pause, one must be set again from time to time, and when the message is complete.
  void SetLowWater(size_t bytes);
  size_t low_water() const { return low_water_; }

  // Whether something has come that nobody has read.
  bool HasInput() {
    ErrorCode error;
    return (tls_ != nullptr && tls_->has_input()) || socket_.available(error) > 0;
  }
  // Tells the client that nothing else will come.
  void ShutdownSend(ErrorCode& error) {
    SendCloseNotify();
    error = socket_.shutdown(Socket::shutdown_send, error);
  }
  void Close(ErrorCode& error) {
    SendCloseNotify();
    if (tls_ != nullptr) tls_->Detach();
    error = socket_.close(error);
  }

 private:
  // Of one buffer, or a range of them.
  template <typename Buffer, typename Buffers>
  static std::span<const Buffer> AsSpan(const Buffers& buffers) {
    if constexpr (std::is_base_of_v<Buffer, Buffers>) {
      return {&static_cast<const Buffer&>(buffers), 1};
    } else {
      return std::span<const Buffer>(buffers);
    }
  }

  void SendCloseNotify() {
    if (tls_ != nullptr && socket_.is_open()) tls_->SendCloseNotify();
  }
  // Counts what was done without waiting; whether that is enough for one connection, as it is each time with the socket's own methods.
  bool TurnIsOver(size_t bytes);
  Coroutine<size_t> ReadTls(asio::mutable_buffer room, ErrorCode& error);
  Coroutine<size_t> WriteTls(std::span<const asio::const_buffer> bytes, ErrorCode& error);

  OpenConnections::Place place_;
  Socket socket_;
  std::unique_ptr<TlsStream> tls_;
  size_t low_water_ = 1;   // SO_RCVLOWAT
  size_t turn_bytes_ = 0;  // read and written by coroutines since the loop had time for its other connections
};

}  // namespace tflite_serving
