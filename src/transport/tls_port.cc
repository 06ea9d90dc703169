#include "transport/tls_port.h"

#include <netdb.h>
#include <sys/socket.h>

#include <utility>

#include <fmt/format.h>

#include "telemetry/log.h"
#include "transport/tls_stream.h"

namespace tflite_serving {
namespace {

std::string PeerName(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (::getpeername(socket, any, &size) != 0) return "a client that has gone";
  if (address.ss_family == AF_UNIX) return "a Unix socket";
  if (::getnameinfo(any, size, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) return "a client";
  return address.ss_family == AF_INET6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

// What monitors do all day: they connect and go, or speak another protocol to any port.
bool IsEveryday(TlsFailure failure) { return failure == TlsFailure::kClosed || failure == TlsFailure::kNotTls || failure == TlsFailure::kPlainPort; }

}  // namespace

std::optional<ByteStream> TlsPort::Open(Socket socket) const {
  if (context_ == nullptr) return ByteStream(std::move(socket));
  std::unique_ptr<TlsStream> tls = TlsStream::Accept(*context_, protocol_, socket.native_handle());
  if (tls == nullptr) return std::nullopt;
  return ByteStream(std::move(socket), std::move(tls));
}

void TlsPort::CountFailure(TlsFailure failure, Socket& socket, std::string_view detail) {
  counts_[static_cast<size_t>(failure)].fetch_add(1, std::memory_order_relaxed);
  const LogLevel level = IsEveryday(failure) ? LogLevel::kDebug : LogLevel::kWarning;
  if (!LogEnabled(level)) return;
  const std::optional<int> left_out = MayLog(Clock::Steady().Now());
  if (!left_out) return;
  TFLS_LOG(level, "{}: TLS with {} failed: {}{}{}{}", name_, PeerName(socket.native_handle()), TlsFailureName(failure), detail.empty() ? "" : ": ",
           detail, *left_out == 0 ? "" : fmt::format(" ({} others before it are not in the log)", *left_out));
}

std::optional<int> TlsPort::MayLog(TimePoint now) {
  const MutexLock lock(mutex_);
  if (now - second_began_ >= std::chrono::seconds(1)) {
    second_began_ = now;
    num_lines_ = 0;
  }
  if (num_lines_ >= kMaxLinesPerSecond) {
    ++num_left_out_;
    return std::nullopt;
  }
  ++num_lines_;
  return std::exchange(num_left_out_, 0);
}

}  // namespace tflite_serving
