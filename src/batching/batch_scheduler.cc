#include "batching/batch_scheduler.h"

#include <algorithm>
#include <utility>

#include "base/queue_limit.h"
#include "base/thread.h"

namespace tflite_serving {

// Its members are guarded by the scheduler's mutex; those that are const never change.
struct BatchScheduler::Source : std::enable_shared_from_this<Source> {
  Source(BatchQueue of, QueueLimit limit_of, RunBatch run_of, int max)
      : queue(std::move(of)), limit(limit_of), run(std::move(run_of)), max_running(max) {}

  BatchQueue queue;
  QueueLimit limit;
  const RunBatch run;
  const int max_running;
  int running = 0;                   // with max_running: batches, elsewhere
  std::chrono::nanoseconds used{0};  // of the threads' time
  bool active = false;               // in active_
};

BatchScheduler::BatchScheduler(const std::string& thread_name, int num_threads, std::chrono::nanoseconds max_wait, const Clock& clock)
    : num_threads_(num_threads), max_wait_(max_wait), clock_(clock) {
  threads_.reserve(static_cast<size_t>(num_threads));
  for (int i = 0; i < num_threads; ++i) threads_.push_back(StartThread(thread_name, [this] { Work(); }));
}

BatchScheduler::~BatchScheduler() { Stop(); }

void BatchScheduler::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  threads_.clear();  // joins
}

BatchScheduler::SourceHandle BatchScheduler::NewSource(BatchQueue queue, RunBatch run, int max_running) {
  return std::make_shared<Source>(std::move(queue), QueueLimit(max_wait_, max_running > 0 ? max_running : num_threads_), std::move(run), max_running);
}

int BatchScheduler::NumThreadsOf(const Source& source, size_t num_sources) const {
  return source.max_running > 0 ? source.max_running : std::max(1, num_threads_ / static_cast<int>(num_sources));
}

Status BatchScheduler::Submit(const SourceHandle& source, std::span<BatchTask> tasks) {
  int64_t rows = 0;
  for (const BatchTask& task : tasks) rows += task.rows;
  {
    const MutexLock lock(mutex_);
    if (stopping_) return UnavailableError("the server is stopping");
    TFLS_RETURN_IF_ERROR(source->queue.CheckRoom(rows));
    const TimePoint now = clock_.Now();
    if (IsFull(*source, now)) return UnavailableError("too many requests are waiting; try again later");
    for (BatchTask& task : tasks) source->queue.Add(std::move(task), now);
    Activate(source);
    const TimePoint start = StartTime(*source, now);
    if (idle_threads_ == 0 || (start > now && start >= timer_)) return OkStatus();
  }
  wake_.NotifyOne();
  return OkStatus();
}

bool BatchScheduler::IsFull(Source& source, TimePoint now) const {
  if (!source.limit.may_refuse(source.queue.num_tasks())) return false;
  // Each active source gets the same share of the threads.
  const auto sources = static_cast<int64_t>(active_.size() + (source.active ? 0 : 1));
  const std::chrono::nanoseconds all = source.queue.ExpectedOfAll();
  const std::chrono::nanoseconds wait = source.max_running > 0 ? all / source.max_running : all * sources / num_threads_;
  const bool refuses = source.limit.Refuses(source.queue.num_tasks(), wait, now);
  // The next batches may be as large as those that run, or long ones would shrink.
  return refuses && !source.queue.is_shorter_than_runs();
}

void BatchScheduler::Resubmit(Source& source, BatchTask task) {
  {
    const MutexLock lock(mutex_);
    source.queue.Return(std::move(task));
    Activate(source.shared_from_this());
  }
  wake_.NotifyOne();
}

void BatchScheduler::Activate(const SourceHandle& source) {
  if (std::exchange(source->active, true)) return;
  source->used = std::max(source->used, turn_);  // who had nothing to run has saved nothing up
  active_.push_back(source);
}

void BatchScheduler::Record(Source& source, int64_t rows, std::chrono::nanoseconds time) {
  const MutexLock lock(mutex_);
  source.queue.Record(rows, time);
}

void BatchScheduler::Answered(Source& source, int64_t rows) {
  {
    const MutexLock lock(mutex_);
    source.queue.Answered(rows);
    if (source.max_running == 0) return;
    --source.running;
    if (!source.active || idle_threads_ == 0) return;
  }
  wake_.NotifyOne();
}

void BatchScheduler::Ended() {
  const MutexLock lock(mutex_);
  if (--running_elsewhere_ == 0 && stopping_) wake_.NotifyAll();
}

TimePoint BatchScheduler::StartTime(Source& source, TimePoint now) const {
  source.queue.set_num_threads(NumThreadsOf(source, active_.size()));
  return source.queue.StartTime(now);
}

BatchScheduler::SourceHandle BatchScheduler::Choose(TimePoint now, TimePoint& next) {
  SourceHandle chosen;
  for (const SourceHandle& source : active_) {
    if (source->max_running > 0 && source->running == source->max_running) continue;
    const TimePoint start = stopping_ ? now : StartTime(*source, now);
    if (start > now) {
      source->queue.BeginWait(now);
      next = std::min(next, start);
    } else if (chosen == nullptr || source->used < chosen->used) {
      chosen = source;
    }
  }
  return chosen;
}

PoolLoad BatchScheduler::load() const {
  const MutexLock lock(mutex_);
  const TimePoint now = clock_.Now();
  PoolLoad load{.num_threads = num_threads_, .busy = busy_.Total(now)};
  for (const SourceHandle& source : active_) {
    load.num_queued += source->queue.num_tasks();
    load.oldest = std::max(load.oldest, now - source->queue.first_arrival(now));
  }
  return load;
}

void BatchScheduler::Work() {
  for (;;) {
    SourceHandle source;
    BatchQueue::Taken taken;
    std::chrono::nanoseconds expected{0};
    bool more = false;
    TimePoint start;
    {
      const MutexLock lock(mutex_);
      TimePoint now = clock_.Now();
      TimePoint next = kNoDeadline;
      while ((source = Choose(now, next)) == nullptr) {
        if (stopping_ && active_.empty() && running_elsewhere_ == 0) return;
        // One thread at a time watches the clock.
        const bool watches = next < timer_;
        if (watches) timer_ = next;
        ++idle_threads_;
        wake_.WaitUntil(mutex_, watches ? next : kNoDeadline);
        --idle_threads_;
        if (watches && timer_ == next) timer_ = kNoDeadline;
        now = clock_.Now();
        next = kNoDeadline;
      }
      taken = source->queue.Take(now);
      start = now;
      if (source->max_running > 0 && !taken.batch.empty()) {
        ++source->running;
        ++running_elsewhere_;
      }
      if (!taken.batch.empty()) busy_.Change(1, start);
      turn_ = std::max(turn_, source->used);
      expected = source->queue.Expected(taken.batch);
      source->used += expected;  // at once, or all threads would choose it
      if (source->queue.empty()) {
        source->active = false;
        std::erase(active_, source);
      }
      more = !active_.empty() && idle_threads_ > 0;
    }
    if (more) wake_.NotifyOne();
    for (const BatchTask& task : taken.overdue) {
      const bool gone = task.request.cancellation != nullptr && task.request.cancellation->cancelled();
      task.done(gone ? CancelledError("the client went away before the request could be run")
                     : ResourceExhaustedError("Run() timeout exceeded while waiting in batching queue"),
                {});
    }
    if (taken.batch.empty()) continue;
    source->run(*source, std::move(taken.batch));
    const MutexLock lock(mutex_);
    const TimePoint end = clock_.Now();
    source->used += end - start - expected;
    busy_.Change(-1, end);
  }
}

}  // namespace tflite_serving
