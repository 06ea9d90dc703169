#include "transport/grpc_acceptor.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/thread.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

constexpr int kBacklog = 1024;         // the kernel cuts it to net.core.somaxconn
constexpr int kAcceptsPerWakeup = 64;  // so that one busy listener does not starve the others, nor Stop

Status EnableOption(int fd, int level, int option, std::string_view doing) {
  const int on = 1;
  if (::setsockopt(fd, level, option, &on, sizeof(on)) != 0) return ErrnoToStatus(errno, doing);
  return OkStatus();
}

// A listening socket at `address`. An IPv6 socket serves only IPv6 if `ipv6_only`, else IPv4 too.
StatusOr<UniqueFd> ListenAt(const sockaddr* address, socklen_t length, bool ipv6_only, std::string_view doing) {
  UniqueFd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoToStatus(errno, doing);
  if (address->sa_family != AF_UNIX) TFLS_RETURN_IF_ERROR(EnableOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, doing));
  if (address->sa_family == AF_INET6) {
    const int only = ipv6_only ? 1 : 0;
    if (::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) != 0) return ErrnoToStatus(errno, doing);
  }
  if (::bind(fd.get(), address, length) != 0 || ::listen(fd.get(), kBacklog) != 0) return ErrnoToStatus(errno, doing);
  return fd;
}

StatusOr<int> BoundPort(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return ErrnoToStatus(errno, "getsockname");
  const uint16_t port = address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                                      : reinterpret_cast<const sockaddr_in&>(address).sin_port;
  return static_cast<int>(ntohs(port));
}

// Every address: one IPv6 socket that serves IPv4 too, or an IPv4 one where the machine has no IPv6.
StatusOr<UniqueFd> ListenEverywhere(uint16_t port, std::string_view doing) {
  sockaddr_in6 any6{};
  any6.sin6_family = AF_INET6;
  any6.sin6_port = htons(port);
  any6.sin6_addr = in6addr_any;
  StatusOr<UniqueFd> fd = ListenAt(reinterpret_cast<const sockaddr*>(&any6), sizeof(any6), /*ipv6_only=*/false, doing);
  if (fd.ok() || fd.status().code() == StatusCode::kAlreadyExists) return fd;
  sockaddr_in any4{};
  any4.sin_family = AF_INET;
  any4.sin_port = htons(port);
  any4.sin_addr.s_addr = htonl(INADDR_ANY);
  return ListenAt(reinterpret_cast<const sockaddr*>(&any4), sizeof(any4), /*ipv6_only=*/false, doing);
}

// Whether a server answers at a socket file, so that the file must not be taken from it.
bool SomebodyListens(const sockaddr_un& address) {
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno != ECONNREFUSED;
}

bool IsShortage(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

// The first descriptor number that a connection may not have.
int FirstReservedDescriptor() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return INT32_MAX;
  const auto soft = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, INT32_MAX));
  return std::max(soft - GrpcAcceptor::kReservedDescriptors, soft / 2);
}

}  // namespace

StatusOr<std::unique_ptr<GrpcAcceptor>> GrpcAcceptor::Listen(const GrpcAcceptorOptions& options) {
  std::unique_ptr<GrpcAcceptor> acceptor(new GrpcAcceptor());
  acceptor->stop_event_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!acceptor->stop_event_.valid()) return ErrnoToStatus(errno, "eventfd");
  if (options.port != 0) TFLS_RETURN_IF_ERROR(acceptor->ListenOnTcp(options.bind_address, options.port));
  if (!options.unix_socket_path.empty()) TFLS_RETURN_IF_ERROR(acceptor->ListenOnUnixSocket(options.unix_socket_path));
  if (acceptor->listeners_.empty()) return InvalidArgumentError("the gRPC server needs a port or a Unix socket path");
  return acceptor;
}

GrpcAcceptor::~GrpcAcceptor() { Stop(); }

Status GrpcAcceptor::ListenOnTcp(const std::string& bind_address, int port) {
  if (port != kAnyFreePort && (port < 0 || port > UINT16_MAX)) return InvalidArgumentError(fmt::format("port {} is not within 0..65535", port));
  const auto wanted = static_cast<uint16_t>(port == kAnyFreePort ? 0 : port);
  if (bind_address.empty()) {
    TFLS_ASSIGN_OR_RETURN(UniqueFd fd, ListenEverywhere(wanted, fmt::format("cannot listen on port {}", wanted)));
    TFLS_ASSIGN_OR_RETURN(port_, BoundPort(fd.get()));
    listeners_.push_back(std::move(fd));
    return OkStatus();
  }
  const std::string doing = fmt::format("cannot listen on {} port {}", bind_address, wanted);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(bind_address.c_str(), std::to_string(wanted).c_str(), &hints, &found);
  if (error != 0) return InvalidArgumentError(fmt::format("{}: {}", doing, ::gai_strerror(error)));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  Status unusable = OkStatus();  // the last address that the machine does not have: a name may stand for IPv6 where there is none
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
    // A name with several addresses gets one port on all of them, the first one's if any port will do.
    if (at->ai_family == AF_INET) reinterpret_cast<sockaddr_in*>(at->ai_addr)->sin_port = htons(port_ != 0 ? static_cast<uint16_t>(port_) : wanted);
    if (at->ai_family == AF_INET6)
      reinterpret_cast<sockaddr_in6*>(at->ai_addr)->sin6_port = htons(port_ != 0 ? static_cast<uint16_t>(port_) : wanted);
    StatusOr<UniqueFd> fd = ListenAt(at->ai_addr, at->ai_addrlen, /*ipv6_only=*/true, doing);
    if (!fd.ok() && fd.status().code() == StatusCode::kAlreadyExists) return fd.status();
    if (!fd.ok()) {
      unusable = fd.status();
      continue;
    }
    TFLS_ASSIGN_OR_RETURN(port_, BoundPort(fd->get()));
    listeners_.push_back(*std::move(fd));
  }
  return listeners_.empty() ? unusable : OkStatus();
}

Status GrpcAcceptor::ListenOnUnixSocket(const std::string& path) {
  const std::string doing = fmt::format("cannot listen on unix:{}", path);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return InvalidArgumentError(fmt::format("{}: the path has {} bytes, the limit is {}", doing, path.size(), sizeof(address.sun_path) - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  struct stat existing{};
  if (::lstat(path.c_str(), &existing) == 0 && S_ISSOCK(existing.st_mode) && !SomebodyListens(address) && ::unlink(path.c_str()) != 0) {
    return ErrnoToStatus(errno, doing);
  }
  TFLS_ASSIGN_OR_RETURN(UniqueFd fd, ListenAt(reinterpret_cast<const sockaddr*>(&address), sizeof(address), /*ipv6_only=*/false, doing));
  listeners_.push_back(std::move(fd));
  unix_socket_path_ = path;
  return OkStatus();
}

void GrpcAcceptor::Start(ConnectionHandler handler) {
  handler_ = std::move(handler);
  thread_ = StartThread("grpc_accept", [this] { AcceptUntilStopped(); });
}

void GrpcAcceptor::Stop() {
  if (thread_.joinable()) {
    if (::eventfd_write(stop_event_.get(), 1) != 0) TFLS_ERROR("grpc_accept cannot be woken: {}", std::strerror(errno));
    thread_.join();
  }
  listeners_.clear();
  if (!unix_socket_path_.empty() && ::unlink(unix_socket_path_.c_str()) != 0 && errno != ENOENT) {
    TFLS_WARNING("{}", ErrnoToStatus(errno, fmt::format("remove {}", unix_socket_path_)).message());
  }
  unix_socket_path_.clear();
}

void GrpcAcceptor::AcceptUntilStopped() {
  std::vector<pollfd> polled{{stop_event_.get(), POLLIN, 0}};
  for (const UniqueFd& listener : listeners_) polled.push_back({listener.get(), POLLIN, 0});
  bool pausing = false;
  while (true) {
    const int ready = pausing ? ::poll(polled.data(), 1, static_cast<int>(kBackOff.count())) : ::poll(polled.data(), polled.size(), -1);
    if (ready < 0 && errno != EINTR) {
      TFLS_ERROR("no more gRPC connections are accepted: {}", ErrnoToStatus(errno, "poll").message());
      return;
    }
    if (ready > 0 && polled[0].revents != 0) return;
    const bool paused_before = std::exchange(pausing, false);
    for (size_t i = 1; i < polled.size(); ++i) {
      // After a pause the listeners have not been polled; accept tells whether somebody waits.
      if ((paused_before || polled[i].revents != 0) && !AcceptPending(polled[i].fd)) pausing = true;
      polled[i].revents = 0;
    }
    if (pausing && !paused_before) TFLS_WARNING("out of file descriptors or memory: gRPC connections wait (the limit is RLIMIT_NOFILE)");
    if (!pausing && paused_before) TFLS_INFO("gRPC connections are accepted again");
  }
}

bool GrpcAcceptor::AcceptPending(int listener) {
  for (int i = 0; i < kAcceptsPerWakeup; ++i) {
    sockaddr_storage peer{};
    socklen_t length = sizeof(peer);
    UniqueFd connection(::accept4(listener, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!connection.valid()) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
      if (IsShortage(errno)) {
        failed_accepts_.fetch_add(1, std::memory_order_relaxed);
        return false;
      }
      continue;  // that client is gone already (ECONNABORTED, EPROTO, …)
    }
    if (connection.get() >= FirstReservedDescriptor()) {
      failed_accepts_.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    if (peer.ss_family != AF_UNIX) {
      if (const Status status = EnableOption(connection.get(), IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY"); !status.ok()) continue;
    }
    handler_(std::move(connection));
  }
  return true;
}

}  // namespace tflite_serving
