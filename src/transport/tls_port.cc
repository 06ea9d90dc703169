#include "transport/tls_port.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/status.h"
#include "telemetry/log.h"
#include "transport/tls_stream.h"

namespace tflite_serving {
namespace {

// What monitors do all day: they connect and go, or speak another protocol to any port.
bool IsEveryday(TlsFailure failure) { return failure == TlsFailure::kClosed || failure == TlsFailure::kNotTls || failure == TlsFailure::kPlainPort; }

}  // namespace

std::optional<ByteStream> TlsPort::Open(AcceptedSocket accepted, asio::io_context& io) const {
  const int fd = accepted.fd.get();
  const int on = 1;
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) address.ss_family = AF_INET6;  // which asio takes for any TCP
  if (address.ss_family != AF_UNIX && ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
    TFLS_DEBUG("cannot set TCP_NODELAY: {}", ErrnoToStatus(errno, "setsockopt").message());
  }
  Socket socket(io);
  ErrorCode error;
  if (!socket.assign(asio::generic::stream_protocol(address.ss_family, 0), fd, error)) accepted.fd.Release();
  if (!error) error = socket.non_blocking(true, error);
  if (error) {
    TFLS_WARNING("cannot serve a new {} connection: {}", name_, error.message());
    return std::nullopt;
  }
  if (context_ == nullptr) return ByteStream(std::move(socket), std::move(accepted.place));
  std::unique_ptr<TlsStream> tls = TlsStream::Accept(*context_, protocol_, fd);
  if (tls == nullptr) {
    TFLS_WARNING("cannot serve a new {} connection: no memory for TLS", name_);
    return std::nullopt;
  }
  return ByteStream(std::move(socket), std::move(accepted.place), std::move(tls));
}

void TlsPort::CountFailure(TlsFailure failure, Socket& socket, std::string_view detail) {
  counts_[static_cast<size_t>(failure)].fetch_add(1, std::memory_order_relaxed);
  const LogLevel level = IsEveryday(failure) ? LogLevel::kDebug : LogLevel::kWarning;
  if (!LogEnabled(level)) return;
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  const bool has_gone = ::getpeername(socket.native_handle(), reinterpret_cast<sockaddr*>(&address), &size) != 0;
  log_.Write(level, fmt::format("{}: TLS with {} failed: {}{}{}", name_, has_gone ? "a client that has gone" : PeerName(address),
                                TlsFailureName(failure), detail.empty() ? "" : ": ", detail));
}

}  // namespace tflite_serving
