// The server's end of TLS over one connected, non-blocking socket: never waits, and says instead what to wait for.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "transport/asio_types.h"
#include "transport/tls_context.h"
#include "transport/tls_failure.h"

struct ssl_st;  // OpenSSL's SSL

namespace tflite_serving {

// Thread-compatible. It does not own the socket, which must be open until Detach; destroying it touches nothing outside.
class TlsStream {
 public:
  enum class Progress { kDone, kWantsRead, kWantsWrite, kFailed };

  // Read and Write return after this much, so that one connection does not hold up the others of its loop.
  static constexpr size_t kMaxBytesPerCall = size_t{256} << 10;

  // Null: there is no memory. The context need not outlive it.
  static std::unique_ptr<TlsStream> Accept(const TlsContext& context, TlsProtocol protocol, int socket);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // Goes on with the handshake as far as it goes. On kFailed an alert that says why has been sent, if the client speaks TLS.
  Progress Handshake();
  // Of a handshake that is not done ----
  TlsFailure failure() const;
  // For the log: OpenSSL's words.
  std::string FailureDetail() const;

  // As a socket's read_some and write_some: what could be moved at once, or an error. would_block: as waits_for_… say. What could not be written must
  // be what the next write begins with.
  size_t Read(std::span<const asio::mutable_buffer> room, ErrorCode& error);
  size_t Write(std::span<const asio::const_buffer> bytes, ErrorCode& error);

  // Read has something to say, be it the end: it must be called before the socket is waited for.
  bool has_input() const;
  // What to wait for after would_block.
  Socket::wait_type read_waits_for() const { return read_wants_write_ ? Socket::wait_write : Socket::wait_read; }
  Socket::wait_type write_waits_for() const { return write_wants_read_ ? Socket::wait_read : Socket::wait_write; }

  // Tells the client, if the socket takes it at once, that nothing else will come. A second call does nothing.
  void SendCloseNotify();
  // The socket is about to be closed: whatever comes later is an error, and not another socket's that gets the same number.
  void Detach() { socket_ = -1; }

 private:
  friend struct SocketBio;

  TlsStream(TlsProtocol protocol, int socket) : socket_(socket), handshake_{.protocol = protocol} {}
  // Of the call that returned `result`. `wants_other` is set on would_block.
  ErrorCode ErrorOf(int result, int other, bool& wants_other);

  struct Deleter {
    void operator()(ssl_st* ssl) const;
  };

  int socket_;
  TlsHandshake handshake_;
  int socket_error_ = 0;    // errno of the last call to the kernel; 0: it succeeded, or would have blocked
  bool at_end_ = false;     // the client sends nothing else
  bool heard_ = false;      // the client has sent something,
  bool heard_tls_ = false;  // which begins like TLS
  bool established_ = false;
  bool broken_ = false;        // after an error that is not would_block
  bool closing_ = false;       // close_notify has been sent
  bool read_blocked_ = false;  // by what has not come of a record
  bool read_ended_ = false;
  bool read_wants_write_ = false;
  bool write_wants_read_ = false;
  size_t retry_bytes_ = 0;    // that OpenSSL has encrypted and not sent, and wants to see again
  int ssl_error_ = 0;         // of a handshake that failed
  unsigned long reason_ = 0;  // NOLINT(google-runtime-int): OpenSSL's type
  std::unique_ptr<ssl_st, Deleter> ssl_;
};

}  // namespace tflite_serving
