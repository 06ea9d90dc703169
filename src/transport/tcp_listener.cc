#include "transport/tcp_listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

// Room for an IPv4 or IPv6 address with its port.
struct Endpoint {
  sockaddr_storage storage{};
  socklen_t size = 0;

  int family() const { return storage.ss_family; }
  void set_port(uint16_t port) {
    if (family() == AF_INET6) {
      reinterpret_cast<sockaddr_in6&>(storage).sin6_port = htons(port);
    } else {
      reinterpret_cast<sockaddr_in&>(storage).sin_port = htons(port);
    }
  }
  uint16_t port() const {
    return ntohs(family() == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(storage).sin6_port
                                      : reinterpret_cast<const sockaddr_in&>(storage).sin_port);
  }
};

Endpoint AnyAddress(int family) {
  Endpoint endpoint;
  endpoint.storage.ss_family = static_cast<sa_family_t>(family);  // zeros are the wildcard address of both families
  endpoint.size = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  return endpoint;
}

StatusOr<std::vector<Endpoint>> Resolve(const std::string& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(address.c_str(), nullptr, &hints, &found); error != 0) {
    return InvalidArgumentError(fmt::format("cannot listen on address \"{}\": {}", address, ::gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  std::vector<Endpoint> endpoints;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    if (info->ai_family != AF_INET && info->ai_family != AF_INET6) continue;
    Endpoint& endpoint = endpoints.emplace_back();
    std::memcpy(&endpoint.storage, info->ai_addr, info->ai_addrlen);
    endpoint.size = info->ai_addrlen;
  }
  return endpoints;
}

// 0, or the errno of what failed.
int Listen(Endpoint endpoint, bool dual_stack, TcpListener& listener) {
  UniqueFd socket(::socket(endpoint.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!socket.valid()) return errno;
  const int on = 1;
  const int only_v6 = dual_stack ? 0 : 1;
  // A restarted server may bind while connections of its predecessor are in TIME_WAIT. SO_REUSEPORT is not set: with it a second server on the port
  // would take half of the connections instead of failing.
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) return errno;
  if (endpoint.family() == AF_INET6 && ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6)) != 0) return errno;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.size) != 0) return errno;
  if (::listen(socket.get(), kListenBacklog) != 0) return errno;
  endpoint.size = sizeof(endpoint.storage);
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&endpoint.storage), &endpoint.size) != 0) return errno;
  listener = {std::move(socket), endpoint.port()};
  return 0;
}

StatusOr<std::vector<TcpListener>> ListenOnEveryAddress(uint16_t port) {
  std::vector<TcpListener> listeners(1);
  Endpoint endpoint = AnyAddress(AF_INET6);
  endpoint.set_port(port);
  int error = Listen(endpoint, /*dual_stack=*/true, listeners.front());
  if (error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == EPROTONOSUPPORT || error == ENOPROTOOPT) {
    endpoint = AnyAddress(AF_INET);
    endpoint.set_port(port);
    error = Listen(endpoint, /*dual_stack=*/false, listeners.front());
  }
  if (error != 0) return ErrnoToStatus(error, fmt::format("cannot listen on port {}", port));
  return listeners;
}

}  // namespace

StatusOr<std::vector<TcpListener>> ListenOnTcp(const std::vector<std::string>& addresses, uint16_t port) {
  if (addresses.empty()) return ListenOnEveryAddress(port);
  std::vector<TcpListener> listeners;
  for (const std::string& address : addresses) {
    TFLS_ASSIGN_OR_RETURN(std::vector<Endpoint> endpoints, Resolve(address));
    for (Endpoint& endpoint : endpoints) {
      endpoint.set_port(port);
      TcpListener listener;
      if (const int error = Listen(endpoint, /*dual_stack=*/false, listener); error != 0) {
        return ErrnoToStatus(error, fmt::format("cannot listen on {} port {}", address, port));
      }
      port = listener.port;
      listeners.push_back(std::move(listener));
    }
  }
  return listeners;
}

std::vector<UniqueFd> ReleaseSockets(std::vector<TcpListener>& listeners) {
  std::vector<UniqueFd> sockets;
  for (TcpListener& listener : listeners) sockets.push_back(std::move(listener.socket));
  return sockets;
}

}  // namespace tflite_serving
