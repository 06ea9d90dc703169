// The threads of one server: event loops, the acceptors that feed them, and their end.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/unique_fd.h"
#include "transport/acceptor.h"
#include "transport/connection_loop.h"

namespace tflite_serving {

// What one server may have open at once: half of what RLIMIT_NOFILE leaves after a reserve for models and logs, since there are two servers.
size_t ConnectionsByDescriptorLimit();

// Start, Shutdown and the destructor are for one thread; num_connections is thread-safe. Must be shut down, if it was started, before it is
// destroyed.
class EventLoops {
 public:
  // `protocol` is a literal for the log, `thread_name` what each loop's thread is called. At least one loop. `open` must outlive it.
  EventLoops(const char* protocol, std::string thread_name, std::vector<std::unique_ptr<ConnectionLoop>> loops, std::vector<UniqueFd> listening,
             size_t max_connections, OpenConnections& open);

  size_t num_connections() const;
  // At most once.
  void Start();
  // Stops accepting and drains the loops; what is still open at `deadline` is aborted. Returns when every loop has ended. A second call does nothing.
  void Shutdown(TimePoint deadline);

 private:
  bool WaitUntilStopped(TimePoint deadline);

  const std::string thread_name_;
  const std::vector<std::unique_ptr<ConnectionLoop>> loops_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  Mutex mutex_;
  CondVar stopped_;
  size_t num_running_ TFLS_GUARDED_BY(mutex_) = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace tflite_serving
