#include "transport/unix_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "telemetry/log.h"
#include "transport/tcp_listener.h"

namespace tflite_serving {
namespace {

// Whether a server answers at a socket file, so that the file must not be taken from it.
bool SomebodyListens(const sockaddr_un& address) {
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return !probe.valid() || ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno != ECONNREFUSED;
}

}  // namespace

StatusOr<UniqueFd> ListenOnUnixSocket(const std::string& path) {
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
  return fd;
}

void RemoveUnixSocket(const std::string& path) {
  if (path.empty() || ::unlink(path.c_str()) == 0 || errno == ENOENT) return;
  TFLS_WARNING("{}", ErrnoToStatus(errno, fmt::format("remove {}", path)).message());
}

}  // namespace tflite_serving
