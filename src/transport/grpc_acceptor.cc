#include "transport/grpc_acceptor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/thread.h"
#include "telemetry/log.h"
#include "transport/tcp_listener.h"

namespace tflite_serving {
namespace {

constexpr int kAcceptsPerWakeup = 64;  // so that one busy listener does not starve the others, nor Stop

// Whether a server answers at a socket file, so that the file must not be taken from it.
bool SomebodyListens(const sockaddr_un& address) {
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return !probe.valid() || ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno != ECONNREFUSED;
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
  if (options.port != 0) TFLS_RETURN_IF_ERROR(acceptor->ListenOnPort(options.bind_address, options.port));
  if (!options.unix_socket_path.empty()) TFLS_RETURN_IF_ERROR(acceptor->ListenOnUnixSocket(options.unix_socket_path));
  if (acceptor->listeners_.empty()) return InvalidArgumentError("the gRPC server needs a port or a Unix socket path");
  return acceptor;
}

GrpcAcceptor::~GrpcAcceptor() { Stop(); }

Status GrpcAcceptor::ListenOnPort(const std::string& bind_address, int port) {
  if (port != kAnyFreePort && (port < 0 || port > UINT16_MAX)) return InvalidArgumentError(fmt::format("port {} is not within 0..65535", port));
  const std::vector<std::string> addresses = bind_address.empty() ? std::vector<std::string>() : std::vector<std::string>{bind_address};
  TFLS_ASSIGN_OR_RETURN(std::vector<TcpListener> listeners, ListenOnTcp(addresses, static_cast<uint16_t>(port == kAnyFreePort ? 0 : port)));
  for (TcpListener& listener : listeners) {
    port_ = listener.port;
    listeners_.push_back(std::move(listener.socket));
  }
  return OkStatus();
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
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid() || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 || ::listen(fd.get(), kListenBacklog) != 0) {
    return ErrnoToStatus(errno, doing);
  }
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
    if (::eventfd_write(stop_event_.get(), 1) != 0) TFLS_ERROR("grpc_accept cannot be woken: {}", ErrnoToStatus(errno, "eventfd_write").message());
    thread_.join();
  }
  listeners_.clear();
  silent_.clear();
  if (!unix_socket_path_.empty() && ::unlink(unix_socket_path_.c_str()) != 0 && errno != ENOENT) {
    TFLS_WARNING("{}", ErrnoToStatus(errno, fmt::format("remove {}", unix_socket_path_)).message());
  }
  unix_socket_path_.clear();
}

void GrpcAcceptor::AcceptUntilStopped() {
  const size_t first_silent = 1 + listeners_.size();
  std::vector<pollfd> polled{{stop_event_.get(), POLLIN, 0}};
  for (const UniqueFd& listener : listeners_) polled.push_back({listener.get(), POLLIN, 0});
  bool pausing = false;
  while (true) {
    polled.resize(first_silent);
    for (const Silent& silent : silent_) polled.push_back({silent.socket.get(), POLLIN, 0});
    // While pausing the listeners are not asked: somebody is waiting there, and cannot be let in.
    for (size_t i = 1; i < first_silent; ++i) polled[i].events = pausing ? 0 : POLLIN;
    std::chrono::milliseconds wait{-1};
    if (!silent_.empty()) wait = std::chrono::ceil<std::chrono::milliseconds>(silent_.front().until - Clock::Steady().Now());
    if (pausing) wait = kBackOff;
    const int ready = ::poll(polled.data(), polled.size(), silent_.empty() && !pausing ? -1 : std::max(0, static_cast<int>(wait.count())));
    if (ready < 0 && errno != EINTR) {
      TFLS_ERROR("no more gRPC connections are accepted: {}", ErrnoToStatus(errno, "poll").message());
      return;
    }
    if (ready > 0 && polled[0].revents != 0) return;
    HearSilent(std::span(polled).subspan(first_silent), Clock::Steady().Now());
    const bool paused_before = std::exchange(pausing, false);
    for (size_t i = 1; i < first_silent; ++i) {
      // After a pause the listeners have not been polled; accept tells whether somebody waits.
      if ((paused_before || polled[i].revents != 0) && !AcceptPending(polled[i].fd)) pausing = true;
    }
    if (pausing && !paused_before) TFLS_WARNING("out of file descriptors or memory: gRPC connections wait (the limit is RLIMIT_NOFILE)");
    if (!pausing && paused_before) TFLS_INFO("gRPC connections are accepted again");
  }
}

void GrpcAcceptor::Hold(UniqueFd connection) {
  // The kernel itself tells only when so much is there.
  if (::setsockopt(connection.get(), SOL_SOCKET, SO_RCVLOWAT, &kFirstWordsBytes, sizeof(kFirstWordsBytes)) != 0) return;  // gone already
  if (silent_.size() >= kMaxSilent) silent_.pop_front();
  silent_.push_back({std::move(connection), Clock::Steady().Now() + kSilenceTime});
}

void GrpcAcceptor::HearSilent(std::span<const pollfd> polled, TimePoint now) {
  std::deque<Silent> still_silent;
  for (size_t i = 0; i < polled.size(); ++i) {
    Silent& silent = silent_[i];
    if (polled[i].revents == 0) {
      if (now < silent.until) still_silent.push_back(std::move(silent));
      continue;
    }
    char first_words[kFirstWordsBytes];
    const int any = 1;
    // Fewer, although poll woke: the client has hung up.
    const bool spoken = ::recv(silent.socket.get(), first_words, sizeof(first_words), MSG_PEEK) == kFirstWordsBytes &&
                        ::setsockopt(silent.socket.get(), SOL_SOCKET, SO_RCVLOWAT, &any, sizeof(any)) == 0;
    if (spoken) handler_(std::move(silent.socket));
  }
  silent_ = std::move(still_silent);
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
    if (peer.ss_family == AF_UNIX) {
      handler_(std::move(connection));
      continue;
    }
    const int on = 1;
    if (::setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0) Hold(std::move(connection));
  }
  return true;
}

}  // namespace tflite_serving
