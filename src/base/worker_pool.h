// A fixed number of threads that run tasks, fair to those who have tasks to run, with bounds on how many may wait and how long.
//
// Each task belongs to a flow: a model, say. Within a flow tasks run in the order they came; among flows the one goes next that has had least of the
// threads' time. So a flow that asks for more than its share waits for itself, and others hardly notice.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/pool_load.h"
#include "base/queue_limit.h"

namespace tflite_serving {

struct WorkerPoolOptions {
  int num_threads = 1;
  size_t max_queued = 0;  // tasks that may wait beside the running ones, of all flows
  // How long a task may have to wait, by the time that its flow's tasks took lately (QueueLimit, of each flow).
  std::chrono::nanoseconds max_wait = std::chrono::nanoseconds::max();
  const Clock* clock = &Clock::Steady();  // must outlive the pool
};

// Thread-safe. Destruction stops it.
class WorkerPool {
 public:
  // Flows that are remembered while they have nothing to run.
  static constexpr size_t kMaxIdleFlows = 4096;

  // `name` is the threads' name.
  WorkerPool(const std::string& name, const WorkerPoolOptions& options);
  WorkerPool(const std::string& name, int num_threads, size_t max_queued)
      : WorkerPool(name, {.num_threads = num_threads, .max_queued = max_queued}) {}
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False, and `task` untouched, when too many wait or the pool is stopping: the caller must refuse its request.
  [[nodiscard]] bool TrySubmit(std::function<void()>& task, std::string_view flow = {});

  // Whether TrySubmit would refuse a task of this flow now.
  bool WouldRefuse(std::string_view flow);

  PoolLoad load() const;

  // Runs what is queued, then joins; nothing is taken any more. One call at a time, and not from a task.
  void Stop();

 private:
  struct Task {
    std::function<void()> work;
    TimePoint queued;
  };
  struct Flow {
    QueueLimit limit;
    std::deque<Task> tasks;
    std::chrono::nanoseconds used{0};     // of the threads' time
    std::chrono::nanoseconds average{0};  // of a task, lately
    int running = 0;
  };

  void Work();
  Flow& FlowOf(std::string_view name) TFLS_REQUIRES(mutex_);
  // Whether it has too many tasks to take one more.
  bool IsFull(Flow& flow, TimePoint now) const TFLS_REQUIRES(mutex_);

  const WorkerPoolOptions options_;
  mutable Mutex mutex_;
  CondVar wake_;
  std::map<std::string, Flow, std::less<>> flows_ TFLS_GUARDED_BY(mutex_);
  std::vector<Flow*> active_ TFLS_GUARDED_BY(mutex_);  // those with tasks
  size_t num_queued_ TFLS_GUARDED_BY(mutex_) = 0;
  std::chrono::nanoseconds turn_ TFLS_GUARDED_BY(mutex_){0};  // what the flow had used that was served last
  BusyTime busy_ TFLS_GUARDED_BY(mutex_);
  bool stopping_ TFLS_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;  // last: its threads use the members above
};

}  // namespace tflite_serving
