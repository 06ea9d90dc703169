// An event loop as acceptors and EventLoops see it: a thread's worth of connections of one protocol.
#pragma once

#include <chrono>
#include <cstddef>

#include "transport/asio_types.h"
#include "transport/open_connections.h"

namespace tflite_serving {

// When connections run out, CloseIdle closes those that have been idle for so long.
inline constexpr std::chrono::milliseconds kIdleGrace{1'000};

// Any thread may call these, Run excepted.
class ConnectionLoop {
 public:
  virtual ~ConnectionLoop() = default;

  // The loop's own thread calls this once; it returns when Drain has been called and the last connection, and the last call, is over.
  virtual void Run() = 0;
  // Serves a connected, non-blocking socket from now on.
  virtual void Adopt(AcceptedSocket accepted) = 0;
  // Closes connections that have been idle for kIdleGrace, to make room for others.
  virtual void CloseIdle() = 0;
  // Closes every connection once what it has begun is done, and those without a request at once.
  virtual void Drain() = 0;
  // Closes every connection, whatever it is doing, and those still to be adopted.
  virtual void Abort() = 0;
  // Those adopted and not yet closed.
  virtual size_t num_connections() const = 0;
  virtual asio::io_context& io() = 0;
};

}  // namespace tflite_serving
