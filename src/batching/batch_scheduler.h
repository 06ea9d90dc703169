// The threads that run batches, shared by all models, and fair to them: who has used least of their time is served next, so that a model under load
// slows down itself first.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/pool_load.h"
#include "base/status.h"
#include "batching/batch_metrics.h"
#include "batching/batch_queue.h"

namespace tflite_serving {

// Thread-safe.
class BatchScheduler {
 public:
  // One queue and what becomes of its batches. Kept by whoever submits to it, and by the scheduler while it has tasks or a batch of it runs.
  struct Source;
  using SourceHandle = std::shared_ptr<Source>;

  // Runs a batch and answers its tasks, here or later; on one of the scheduler's threads, without a lock held. `source` lives until this has returned
  // and each task is answered.
  using RunBatch = std::function<void(Source& source, std::vector<BatchTask> batch)>;

  // `max_wait`: how long a request may have to wait, by what runs took lately (QueueLimit, of each source).
  BatchScheduler(const std::string& thread_name, int num_threads, std::chrono::nanoseconds max_wait = std::chrono::nanoseconds::max(),
                 const Clock& clock = Clock::Steady());
  // Stops it.
  ~BatchScheduler();
  BatchScheduler(const BatchScheduler&) = delete;
  BatchScheduler& operator=(const BatchScheduler&) = delete;

  // `max_running`: 0, or the batches that run beside each other elsewhere, while the scheduler's threads do other things: `run` returns before they
  // end, which Answered and then Ended tell.
  SourceHandle NewSource(BatchQueue queue, RunBatch run, int max_running = 0);

  // Queues tasks, all or none; each is answered exactly once: by RunBatch, or with RESOURCE_EXHAUSTED at its deadline or CANCELLED if that comes
  // first and a thread gets to it. Errors, with the tasks untouched: BatchQueue::CheckRoom; UNAVAILABLE when they would wait too long, or it is
  // stopping.
  Status Submit(const SourceHandle& source, std::span<BatchTask> tasks);
  // Queues a task that comes from a batch, in front and whatever the limit.
  void Resubmit(Source& source, BatchTask task);
  // Runs what is queued, waits for what runs elsewhere, then joins. One call at a time.
  void Stop();
  // BatchQueue::Record and Answered.
  void Record(Source& source, int64_t rows, std::chrono::nanoseconds time);
  void Answered(Source& source, int64_t rows);
  // All tasks of a batch are answered, or were submitted again, that ran elsewhere.
  void Ended();

  PoolLoad load() const;
  BatchMetrics& metrics() { return metrics_; }
  const BatchMetrics& metrics() const { return metrics_; }

 private:
  void Work();
  void Activate(const SourceHandle& source) TFLS_REQUIRES(mutex_);
  // Whether it has too many tasks to take one more.
  bool IsFull(Source& source, TimePoint now) const TFLS_REQUIRES(mutex_);
  // The threads that a source may count on, if each of so many has the same share.
  int NumThreadsOf(const Source& source, size_t num_sources) const;
  // BatchQueue::StartTime of an active source.
  TimePoint StartTime(Source& source, TimePoint now) const TFLS_REQUIRES(mutex_);
  // Whose turn it is; null if nobody's before `next`.
  SourceHandle Choose(TimePoint now, TimePoint& next) TFLS_REQUIRES(mutex_);

  const int num_threads_;
  const std::chrono::nanoseconds max_wait_;
  const Clock& clock_;
  BatchMetrics metrics_;
  mutable Mutex mutex_;
  CondVar wake_;
  std::vector<SourceHandle> active_ TFLS_GUARDED_BY(mutex_);  // those with tasks
  std::chrono::nanoseconds turn_ TFLS_GUARDED_BY(mutex_){0};  // what the source had used that was served last
  TimePoint timer_ TFLS_GUARDED_BY(mutex_) = kNoDeadline;     // when the first of the idle threads wakes by itself
  int idle_threads_ TFLS_GUARDED_BY(mutex_) = 0;
  int running_elsewhere_ TFLS_GUARDED_BY(mutex_) = 0;  // batches
  BusyTime busy_ TFLS_GUARDED_BY(mutex_);
  bool stopping_ TFLS_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;  // last: they use the members above
};

}  // namespace tflite_serving
