// Listening sockets and the thread that accepts on them, for the gRPC server.
//
// libgrpc brings a listener of its own, but that of 1.51 never accepts again once the process has run out of descriptors (CVE-2023-4785), and it sets
// SO_REUSEPORT, so that two servers on one port would share its clients instead of the second one failing. This acceptor does neither.
//
// A flood of connections must not take the descriptors that the rest of the server needs for model files: connections whose descriptor falls into
// the last kReservedDescriptors below RLIMIT_NOFILE are closed at once. When accepting fails for want of descriptors or memory all the same, the
// acceptor pauses for kBackOff and tries again; clients wait in the kernel's queue meanwhile.
//
// A TCP connection is handed over once its client has begun to speak HTTP/2. libgrpc waits for that as long as two minutes and does not end its
// shutdown meanwhile, so one silent connection (a load balancer that connects ahead, a port scanner) would delay the stop of the server.
#pragma once

#include <poll.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace tflite_serving {

// Ask the kernel for any free port (tests do).
inline constexpr int kAnyFreePort = -1;

struct GrpcAcceptorOptions {
  // A host name or a numeric IPv4 or IPv6 address. Empty: every address of the machine, IPv4 and IPv6.
  std::string bind_address;
  int port = 0;                  // 0: no TCP port
  std::string unix_socket_path;  // empty: no Unix socket
};

// Listen and Stop belong to one thread; port and failed_accepts are thread-safe.
class GrpcAcceptor {
 public:
  // Owns a connected socket: non-blocking, close-on-exec, and without Nagle's delay where it is TCP.
  using ConnectionHandler = std::function<void(UniqueFd connection)>;

  static constexpr std::chrono::milliseconds kBackOff{50};
  // For models, logs and workers. Where the limit is so low that this is more than half of it, half of it is reserved.
  static constexpr int kReservedDescriptors = 64;
  // What a client must have sent before it is handed over: the connection preface and the head of its SETTINGS frame (RFC 9113, 3.4).
  static constexpr int kFirstWordsBytes = 24 + 9;
  // One that has not by then is closed; so is the one that has been silent for longest when there are more than kMaxSilent.
  static constexpr std::chrono::seconds kSilenceTime{10};
  static constexpr size_t kMaxSilent = 1024;

  // Binds and listens; clients can connect from now on and wait until Start. Errors name the place:
  // ALREADY_EXISTS `cannot listen on port 8500: Address already in use`. A socket file that nobody listens on is replaced.
  static StatusOr<std::unique_ptr<GrpcAcceptor>> Listen(const GrpcAcceptorOptions& options);

  // Stops, and removes the socket file.
  ~GrpcAcceptor();
  GrpcAcceptor(const GrpcAcceptor&) = delete;
  GrpcAcceptor& operator=(const GrpcAcceptor&) = delete;

  // Starts the thread "grpc_accept", which hands every connection to `handler`. At most once; `handler` must stay callable until Stop returns.
  // Connections over a Unix socket are handed over at once.
  void Start(ConnectionHandler handler);

  // Joins the thread and closes the listening sockets: new clients are refused from here on. May be called again.
  void Stop();

  // The TCP port; 0 if there is none.
  int port() const { return port_; }

  // How often accepting failed for want of descriptors or memory, or a connection was closed because its descriptor was reserved.
  int64_t failed_accepts() const { return failed_accepts_.load(std::memory_order_relaxed); }

 private:
  // A connection whose client has said nothing yet.
  struct Silent {
    UniqueFd socket;
    TimePoint until;
  };

  GrpcAcceptor() = default;
  Status ListenOnPort(const std::string& bind_address, int port);
  Status ListenOnUnixSocket(const std::string& path);
  void AcceptUntilStopped();
  // Accepts what waits on one listener; false when the acceptor must pause.
  bool AcceptPending(int listener);
  // Keeps a new TCP connection until its client speaks.
  void Hold(UniqueFd connection);
  // Hands over those that have spoken, and closes those that are gone. `polled` has the outcome of a poll for the first of them, in order.
  void HearSilent(std::span<const pollfd> polled, TimePoint now);

  std::vector<UniqueFd> listeners_;
  UniqueFd stop_event_;  // an eventfd that becomes readable when the thread must end
  int port_ = 0;
  std::string unix_socket_path_;  // the file to remove at the end
  ConnectionHandler handler_;
  std::deque<Silent> silent_;  // of the thread; the oldest first
  std::atomic<int64_t> failed_accepts_{0};
  std::jthread thread_;  // last: it uses the members above
};

}  // namespace tflite_serving
