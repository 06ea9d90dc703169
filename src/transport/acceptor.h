// Takes connections from listening sockets and deals each to the event loop that has the fewest.
//
// One acceptor serves all loops: a socket of its own for every loop (SO_REUSEPORT) spreads connections by a hash, which leaves a loop idle when they
// are few, and lets a second server start on a port that is in use.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "transport/asio_types.h"
#include "transport/connection_loop.h"
#include "transport/open_connections.h"

namespace tflite_serving {

// How long accepting pauses when descriptors or connections have run out, after idle connections have been asked to make room.
inline constexpr std::chrono::milliseconds kAcceptPause{50};
inline constexpr int kAcceptBatch = 64;

// Lives on the thread of one loop, from Start on.
class Acceptor {
 public:
  // `loops` must outlive the acceptor; the first is the one it lives on. It accepts while the loops have fewer than `max_connections`, and from
  // clients for which there is a place in `open`, which must outlive it too. `protocol` is a literal for the log: "HTTP".
  Acceptor(const char* protocol, UniqueFd listening, const std::vector<std::unique_ptr<ConnectionLoop>>& loops, size_t max_connections,
           OpenConnections& open);

  void Start();
  // Takes what waits in the backlog, then stops listening.
  void Stop();

 private:
  enum class Outcome {
    kDrained,    // nobody waits
    kMore,       // the batch is full
    kExhausted,  // no descriptor, memory or connection is left
    kBroken,     // the socket cannot accept any more
  };

  Coroutine<void> Run();
  Outcome AcceptBatch();
  // kExhausted if somebody waits, which is logged once for each time that the server runs out of something; otherwise kDrained.
  Outcome Exhausted(const char* what);
  size_t NumConnections() const;
  ConnectionLoop& LeastLoaded();

  const char* const protocol_;
  const std::vector<std::unique_ptr<ConnectionLoop>>& loops_;
  const size_t max_connections_;
  OpenConnections& open_;
  Descriptor listening_;
  Timer pause_;
  bool stopped_ = false;
  bool exhausted_ = false;
  size_t next_loop_ = 0;  // where the search begins, so that equally loaded loops take turns
};

}  // namespace tflite_serving
