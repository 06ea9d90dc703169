// A fixed number of threads that run tasks in the order they came, with a bound on how many may wait.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace tflite_serving {

// Thread-safe. Destruction stops it.
class WorkerPool {
 public:
  // `name` is the threads' name; `max_queued` the tasks that may wait beside the running ones.
  WorkerPool(const std::string& name, int num_threads, size_t max_queued);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False, and `task` untouched, when the queue is full or the pool is stopping: the caller must refuse its request.
  [[nodiscard]] bool TrySubmit(std::function<void()>& task);

  // Runs what is queued, then joins; nothing is taken any more. One call at a time, and not from a task.
  void Stop();

 private:
  void Work();

  const size_t max_queued_;
  Mutex mutex_;
  CondVar wake_;
  std::deque<std::function<void()>> queue_ TFLS_GUARDED_BY(mutex_);
  bool stopping_ TFLS_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;  // last: its threads use the members above
};

}  // namespace tflite_serving
