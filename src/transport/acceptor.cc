#include "transport/acceptor.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/status.h"
#include "telemetry/log.h"

namespace tflite_serving {

Acceptor::Acceptor(const char* protocol, UniqueFd listening, const std::vector<std::unique_ptr<ConnectionLoop>>& loops, size_t max_connections,
                   OpenConnections& open)
    : protocol_(protocol),
      loops_(loops),
      max_connections_(max_connections),
      open_(open),
      listening_(loops.front()->io(), listening.Release()),
      pause_(loops.front()->io()) {}

void Acceptor::Start() { asio::co_spawn(loops_.front()->io(), Run(), asio::detached); }

void Acceptor::Stop() {
  while (AcceptBatch() == Outcome::kMore) {
  }
  stopped_ = true;
  ErrorCode error;
  if (listening_.close(error)) TFLS_WARNING("cannot close the listening {} socket: {}", protocol_, error.message());
  pause_.cancel();
}

Coroutine<void> Acceptor::Run() {
  while (!stopped_) {
    ErrorCode error;  // a cancelled wait is seen by stopped_
    switch (AcceptBatch()) {
      case Outcome::kDrained:
        co_await listening_.async_wait(Descriptor::wait_read, asio::redirect_error(kAwait, error));
        break;
      case Outcome::kMore:
        co_await asio::post(listening_.get_executor(), kAwait);
        break;
      case Outcome::kExhausted:
        for (const std::unique_ptr<ConnectionLoop>& loop : loops_) loop->CloseIdle();
        pause_.expires_after(kAcceptPause);
        co_await pause_.async_wait(asio::redirect_error(kAwait, error));
        break;
      case Outcome::kBroken:
        co_return;
    }
  }
}

Acceptor::Outcome Acceptor::AcceptBatch() {
  for (int accepted = 0; accepted < kAcceptBatch; ++accepted) {
    if (NumConnections() >= max_connections_) {
      return Exhausted("the limit of connections is reached");
    }
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    UniqueFd socket(::accept4(listening_.native_handle(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.valid()) {
      exhausted_ = false;
      if (std::optional<OpenConnections::Place> place = open_.Enter(address)) {
        LeastLoaded().Adopt({std::move(socket), *std::move(place)});
      } else {
        open_.log().Write(LogLevel::kWarning,
                          fmt::format("{}: a connection of {} is refused: its address has {} open (--max_connections_per_address)", protocol_,
                                      PeerName(address), open_.max_per_address()));
      }
      continue;
    }
    const int error = errno;
    switch (error) {
      case EAGAIN:
        return Outcome::kDrained;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        return Exhausted(::strerrordesc_np(error));
      case EBADF:
      case EINVAL:
      case ENOTSOCK:
      case EOPNOTSUPP:
        TFLS_ERROR("no more {} connections are accepted: {}", protocol_, ErrnoToStatus(error, "accept").message());
        return Outcome::kBroken;
      default:
        break;  // of one connection only, which is gone
    }
  }
  return Outcome::kMore;
}

Acceptor::Outcome Acceptor::Exhausted(const char* what) {
  pollfd waiting{.fd = listening_.native_handle(), .events = POLLIN, .revents = 0};
  if (::poll(&waiting, 1, 0) == 0) return Outcome::kDrained;
  if (!std::exchange(exhausted_, true)) TFLS_WARNING("new {} connections have to wait: {} ({} are open)", protocol_, what, NumConnections());
  return Outcome::kExhausted;
}

size_t Acceptor::NumConnections() const {
  size_t sum = 0;
  for (const std::unique_ptr<ConnectionLoop>& loop : loops_) sum += loop->num_connections();
  return sum;
}

ConnectionLoop& Acceptor::LeastLoaded() {
  size_t best = next_loop_;
  for (size_t i = 1; i < loops_.size(); ++i) {
    const size_t candidate = (next_loop_ + i) % loops_.size();
    if (loops_[candidate]->num_connections() < loops_[best]->num_connections()) best = candidate;
  }
  next_loop_ = (best + 1) % loops_.size();
  return *loops_[best];
}

}  // namespace tflite_serving
