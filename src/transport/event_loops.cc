#include "transport/event_loops.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/thread.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

// Descriptors left to models and logs: a quarter of them, at most this many.
constexpr size_t kMaxReservedDescriptors = 256;

}  // namespace

size_t ConnectionsByDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::numeric_limits<size_t>::max();
  const size_t reserved = std::min<size_t>(limit.rlim_cur / 4, kMaxReservedDescriptors);
  return std::max<size_t>((limit.rlim_cur - reserved) / 2, 1);
}

EventLoops::EventLoops(const char* protocol, std::string thread_name, std::vector<std::unique_ptr<ConnectionLoop>> loops,
                       std::vector<UniqueFd> listening, size_t max_connections, OpenConnections& open)
    : thread_name_(std::move(thread_name)), loops_(std::move(loops)) {
  for (UniqueFd& socket : listening) acceptors_.push_back(std::make_unique<Acceptor>(protocol, std::move(socket), loops_, max_connections, open));
}

size_t EventLoops::num_connections() const {
  size_t sum = 0;
  for (const std::unique_ptr<ConnectionLoop>& loop : loops_) sum += loop->num_connections();
  return sum;
}

void EventLoops::Start() {
  for (const std::unique_ptr<Acceptor>& acceptor : acceptors_) acceptor->Start();
  {
    const MutexLock lock(mutex_);
    num_running_ = loops_.size();
  }
  for (const std::unique_ptr<ConnectionLoop>& loop : loops_) {
    threads_.push_back(StartThread(thread_name_, [this, &loop] {
      loop->Run();
      const MutexLock lock(mutex_);
      --num_running_;
      stopped_.NotifyAll();
    }));
  }
}

void EventLoops::Shutdown(TimePoint deadline) {
  if (threads_.empty()) return;
  // By way of the thread that accepts, so that each loop hears of its last connection before it hears that it is the last.
  asio::post(loops_.front()->io(), [this] {
    for (const std::unique_ptr<Acceptor>& acceptor : acceptors_) acceptor->Stop();
    for (const std::unique_ptr<ConnectionLoop>& loop : loops_) loop->Drain();
  });
  if (!WaitUntilStopped(deadline)) {
    TFLS_WARNING("{} connection(s) are closed in the middle of a request: the time to finish it is over", num_connections());
    for (const std::unique_ptr<ConnectionLoop>& loop : loops_) loop->Abort();
  }
  threads_.clear();  // joins
}

bool EventLoops::WaitUntilStopped(TimePoint deadline) {
  const MutexLock lock(mutex_);
  while (num_running_ > 0) {
    if (!stopped_.WaitUntil(mutex_, deadline) && num_running_ > 0) return false;
  }
  return true;
}

}  // namespace tflite_serving
