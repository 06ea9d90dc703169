// Requests that wait for a worker.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/queue_limit.h"
#include "base/status.h"
#include "servable/servable.h"

namespace tflite_serving {

// One request and its answer, of tensors or of JSON.
struct CustomTask {
  std::variant<RunRequest, JsonRunRequest> request;
  std::variant<RunDone, JsonRunDone> done;  // the same of both
  uint32_t signature_number = 0;            // of a RunRequest

  TimePoint deadline() const {
    return std::visit([](const auto& one) { return one.deadline; }, request);
  }
  // Null: nobody asks.
  RunTimeline* times() const {
    return std::visit([](const auto& one) { return one.times; }, request);
  }
  // DEADLINE_EXCEEDED or CANCELLED once nobody waits for the answer any more.
  Status Overdue(TimePoint now) const;
  void Fail(const Status& status) const;
};

// The tasks of one servable, for those of its workers that have nothing to do. Thread-safe.
class CustomTaskQueue {
 public:
  // Those that may wait, as for the server's own workers.
  static constexpr size_t kMaxQueued = 4096;

  // `max_wait`: how long a task may have to wait, by what tasks took lately (QueueLimit).
  CustomTaskQueue(int num_workers, std::chrono::nanoseconds max_wait) : num_workers_(num_workers), limit_(max_wait, num_workers) {}

  // UNAVAILABLE, and `task` untouched, when too many wait.
  Status Push(CustomTask& task);
  // The next task that is not overdue; overdue ones are answered. Without one, `idle_event` (an eventfd) is signalled when one comes.
  std::optional<CustomTask> Pop(int idle_event, TimePoint now);
  // Answers those that are overdue, on this thread.
  void DropOverdue(TimePoint now);
  // Answers all.
  void FailAll(const Status& status);
  size_t size() const {
    const MutexLock lock(mutex_);
    return tasks_.size();
  }
  // Tasks that Push would not take.
  uint64_t num_refused() const {
    const MutexLock lock(mutex_);
    return num_refused_;
  }
  // A task took this long.
  void Record(std::chrono::nanoseconds time);
  // This worker takes no task for now: another is signalled in its place.
  void Forget(int idle_event);

 private:
  const int num_workers_;
  mutable Mutex mutex_;
  QueueLimit limit_ TFLS_GUARDED_BY(mutex_);
  std::deque<CustomTask> tasks_ TFLS_GUARDED_BY(mutex_);
  uint64_t num_refused_ TFLS_GUARDED_BY(mutex_) = 0;
  std::vector<int> idle_ TFLS_GUARDED_BY(mutex_);  // the events of workers with nothing to do
  std::chrono::nanoseconds average_ TFLS_GUARDED_BY(mutex_){0};
};

}  // namespace tflite_serving
