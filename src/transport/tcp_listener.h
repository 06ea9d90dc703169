// Listening TCP sockets, from what people write on a command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"

namespace tflite_serving {

// Clients that may wait to be accepted; the kernel cuts it to net.core.somaxconn.
inline constexpr int kListenBacklog = 4096;

// A non-blocking socket that listens, and the port it got.
struct TcpListener {
  UniqueFd socket;
  uint16_t port = 0;
};

// Listens on `port` of each of `addresses`: IP addresses or host names, of which every address is used. None: every address of the machine, IPv6 and
// IPv4 on one socket, or IPv4 alone where there is no IPv6. Port 0 takes a free one, the same for all addresses. A port that another process listens
// on is an error: "cannot listen on port 8501: Address already in use".
StatusOr<std::vector<TcpListener>> ListenOnTcp(const std::vector<std::string>& addresses, uint16_t port);

// Their sockets, moved.
std::vector<UniqueFd> ReleaseSockets(std::vector<TcpListener>& listeners);

}  // namespace tflite_serving
