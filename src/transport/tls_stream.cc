#include "transport/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <boost/asio/error.hpp>

namespace tflite_serving {
namespace {

constexpr size_t kRecordBytes = SSL3_RT_MAX_PLAIN_LENGTH;

// What is left of some pieces of bytes, front to back.
class Pieces {
 public:
  explicit Pieces(std::span<const asio::const_buffer> pieces) : pieces_(pieces) {
    for (const asio::const_buffer& piece : pieces) size_ += piece.size();
  }
  size_t size() const { return size_; }

  // The first `size` bytes: where they are if they lie in one piece, and otherwise in `room`.
  std::string_view First(size_t size, char* room) const {
    size_t at = offset_;
    size_t gathered = 0;
    for (const asio::const_buffer& piece : pieces_) {
      const char* const data = static_cast<const char*>(piece.data());
      const size_t step = std::min(size - gathered, piece.size() - at);
      if (step == size) return {data + at, size};
      if (step > 0) std::memcpy(room + gathered, data + at, step);
      gathered += step;
      at = 0;
      if (gathered == size) break;
    }
    return {room, gathered};
  }

  void Consume(size_t size) {
    size_ -= size;
    offset_ += size;
    while (!pieces_.empty() && offset_ >= pieces_.front().size()) {
      offset_ -= pieces_.front().size();
      pieces_ = pieces_.subspan(1);
    }
  }

 private:
  std::span<const asio::const_buffer> pieces_;
  size_t offset_ = 0;  // in the first of them
  size_t size_ = 0;
};

}  // namespace

// How OpenSSL reaches the socket: its own way raises SIGPIPE when the client has gone.
struct SocketBio {
  static TlsStream& Stream(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

  static int Read(BIO* bio, char* room, size_t size, size_t* received) {
    TlsStream& stream = Stream(bio);
    BIO_clear_retry_flags(bio);
    const ssize_t result = ::recv(stream.socket_, room, size, MSG_DONTWAIT);
    stream.socket_error_ = result < 0 ? errno : 0;
    if (result > 0 && !std::exchange(stream.heard_, true)) stream.heard_tls_ = room[0] == kTlsFirstByte;
    if (result == 0 && size > 0) stream.at_end_ = true;
    if (stream.socket_error_ == EAGAIN || stream.socket_error_ == EINTR) {
      stream.socket_error_ = 0;
      BIO_set_retry_read(bio);
    }
    *received = result > 0 ? static_cast<size_t>(result) : 0;
    return result > 0 ? 1 : 0;
  }

  static int Write(BIO* bio, const char* bytes, size_t size, size_t* sent) {
    TlsStream& stream = Stream(bio);
    BIO_clear_retry_flags(bio);
    const ssize_t result = ::send(stream.socket_, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    stream.socket_error_ = result < 0 ? errno : 0;
    if (stream.socket_error_ == EAGAIN || stream.socket_error_ == EINTR) {
      stream.socket_error_ = 0;
      BIO_set_retry_write(bio);
    }
    *sent = result > 0 ? static_cast<size_t>(result) : 0;
    return result > 0 ? 1 : 0;
  }

  static long Control(BIO* bio, int command, long, void*) {  // NOLINT(google-runtime-int): OpenSSL's type
    if (command == BIO_CTRL_EOF) return Stream(bio).at_end_ ? 1 : 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }

  // Made once, and kept as long as the process.
  static const BIO_METHOD* Method() {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
      if (made == nullptr || BIO_meth_set_read_ex(made, Read) != 1 || BIO_meth_set_write_ex(made, Write) != 1)
        return static_cast<BIO_METHOD*>(nullptr);
      BIO_meth_set_ctrl(made, Control);
      return made;
    }();
    return method;
  }
};

void TlsStream::Deleter::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TlsStream::~TlsStream() = default;

std::unique_ptr<TlsStream> TlsStream::Accept(const TlsContext& context, TlsProtocol protocol, int socket) {
  std::unique_ptr<TlsStream> stream(new TlsStream(protocol, socket));
  stream->ssl_.reset(SSL_new(context.current().get()));
  BIO* const bio = SocketBio::Method() == nullptr ? nullptr : BIO_new(SocketBio::Method());
  if (stream->ssl_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    return nullptr;
  }
  BIO_set_data(bio, stream.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(stream->ssl_.get(), bio, bio);
  SSL_set_app_data(stream->ssl_.get(), &stream->handshake_);
  SSL_set_accept_state(stream->ssl_.get());
  return stream;
}

// --- The handshake ---

TlsStream::Progress TlsStream::Handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    established_ = true;
    return Progress::kDone;
  }
  ssl_error_ = SSL_get_error(ssl_.get(), result);
  if (ssl_error_ == SSL_ERROR_WANT_READ) return Progress::kWantsRead;
  if (ssl_error_ == SSL_ERROR_WANT_WRITE) return Progress::kWantsWrite;
  broken_ = true;
  reason_ = ERR_peek_error();  // the first is the cause
  return Progress::kFailed;
}

TlsFailure TlsStream::failure() const {
  if (heard_ && !heard_tls_) return TlsFailure::kNotTls;
  if (!broken_) return TlsFailure::kTimeout;
  if (handshake_.lacks_alpn) return TlsFailure::kNoAlpn;
  if (at_end_ || ssl_error_ == SSL_ERROR_SYSCALL || ssl_error_ == SSL_ERROR_ZERO_RETURN) return TlsFailure::kClosed;
  const int reason = ERR_GET_REASON(reason_);
  switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return TlsFailure::kNoClientCertificate;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      return SSL_get_verify_result(ssl_.get()) == X509_V_ERR_CERT_HAS_EXPIRED ? TlsFailure::kExpired : TlsFailure::kBadCertificate;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_INAPPROPRIATE_FALLBACK:
      return TlsFailure::kProtocolVersion;
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return TlsFailure::kNoAlpn;
    default:
      return reason > SSL_AD_REASON_OFFSET ? TlsFailure::kRefusedByClient : TlsFailure::kOther;
  }
}

std::string TlsStream::FailureDetail() const {
  const char* const words = reason_ == 0 ? nullptr : ERR_reason_error_string(reason_);
  if (words == nullptr) return socket_error_ == 0 ? "" : ::strerrordesc_np(socket_error_);
  if (ERR_GET_REASON(reason_) != SSL_R_CERTIFICATE_VERIFY_FAILED) return words;
  return fmt::format("{}: {}", words, X509_verify_cert_error_string(SSL_get_verify_result(ssl_.get())));
}

// --- Bytes ---

bool TlsStream::has_input() const { return read_ended_ || (!read_blocked_ && SSL_has_pending(ssl_.get()) == 1); }

size_t TlsStream::Read(std::span<const asio::mutable_buffer> room, ErrorCode& error) {
  error = {};
  size_t total = 0;
  for (const asio::mutable_buffer& buffer : room) {
    for (size_t filled = 0; filled < buffer.size();) {
      // What is shorter than a full record is the last that has come, as a rule: the kernel need not be asked.
      const bool may_have_more = total == 0 || total >= kRecordBytes || SSL_has_pending(ssl_.get()) == 1;
      if (!may_have_more || total >= kMaxBytesPerCall) return total;
      ERR_clear_error();
      size_t size = 0;
      const int result = SSL_read_ex(ssl_.get(), static_cast<char*>(buffer.data()) + filled, buffer.size() - filled, &size);
      read_blocked_ = read_wants_write_ = false;
      if (result != 1) {
        const ErrorCode why = ErrorOf(result, SSL_ERROR_WANT_WRITE, read_wants_write_);
        read_blocked_ = why == asio::error::would_block;
        read_ended_ = !read_blocked_;
        if (total == 0) error = why;
        return total;
      }
      filled += size;
      total += size;
    }
  }
  return total;
}

size_t TlsStream::Write(std::span<const asio::const_buffer> bytes, ErrorCode& error) {
  error = {};
  Pieces left(bytes);
  char room[kRecordBytes];
  size_t total = 0;
  while (left.size() > 0 && total < kMaxBytesPerCall) {
    // Head and body of a small response share a record.
    const std::string_view record = left.First(retry_bytes_ > 0 ? std::min(retry_bytes_, left.size()) : std::min(kRecordBytes, left.size()), room);
    ERR_clear_error();
    size_t size = 0;
    const int result = SSL_write_ex(ssl_.get(), record.data(), record.size(), &size);
    retry_bytes_ = 0;
    write_wants_read_ = false;
    if (result != 1) {
      const ErrorCode why = ErrorOf(result, SSL_ERROR_WANT_READ, write_wants_read_);
      if (why == asio::error::would_block) retry_bytes_ = record.size();
      if (total == 0) error = why;
      break;
    }
    left.Consume(size);
    total += size;
  }
  return total;
}

ErrorCode TlsStream::ErrorOf(int result, int other, bool& wants_other) {
  const int ssl_error = SSL_get_error(ssl_.get(), result);
  if (ssl_error == SSL_ERROR_WANT_READ || ssl_error == SSL_ERROR_WANT_WRITE) {
    wants_other = ssl_error == other;
    return asio::error::would_block;
  }
  if (ssl_error == SSL_ERROR_ZERO_RETURN) return asio::error::eof;
  broken_ = true;
  if (ssl_error != SSL_ERROR_SYSCALL) return asio::error::connection_aborted;
  return socket_error_ != 0 ? ErrorCode(socket_error_, boost::system::system_category()) : ErrorCode(asio::error::eof);
}

void TlsStream::SendCloseNotify() {
  if (!established_ || broken_ || std::exchange(closing_, true)) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());  // whatever comes of it, there is nothing to be done
  ERR_clear_error();
}

}  // namespace tflite_serving
