#include "custom/custom_task.h"

#include <sys/eventfd.h>

#include <string>
#include <utility>

namespace tflite_serving {
namespace {

// Of the last tasks: the weight of a new one is an eighth.
constexpr int kAverageMemory = 8;

}  // namespace

Status CustomTask::Overdue(TimePoint now) const {
  const Cancellation* cancellation = std::visit([](const auto& one) { return one.cancellation; }, request);
  if (cancellation != nullptr && cancellation->cancelled()) return CancelledError("the client went away");
  return now >= deadline() ? DeadlineExceededError("the request's deadline passed before its servable had answered") : OkStatus();
}

void CustomTask::Fail(const Status& status) const {
  if (const auto* run_done = std::get_if<RunDone>(&done)) return (*run_done)(status, {});
  std::get<JsonRunDone>(done)(status, {});
}

Status CustomTaskQueue::Push(CustomTask& task) {
  int idle = -1;
  {
    const MutexLock lock(mutex_);
    const auto waiting = static_cast<int64_t>(tasks_.size());
    if (limit_.Refuses(tasks_.size(), average_ * waiting / num_workers_, Clock::Steady().Now()) || tasks_.size() >= kMaxQueued) {
      ++num_refused_;
      return UnavailableError("too many requests are waiting; try again later");
    }
    tasks_.push_back(std::move(task));
    if (!idle_.empty()) {
      idle = idle_.back();
      idle_.pop_back();
    }
  }
  if (idle >= 0) ::eventfd_write(idle, 1);
  return OkStatus();
}

std::optional<CustomTask> CustomTaskQueue::Pop(int idle_event, TimePoint now) {
  for (;;) {
    std::optional<CustomTask> task;
    {
      const MutexLock lock(mutex_);
      std::erase(idle_, idle_event);
      if (tasks_.empty()) {
        idle_.push_back(idle_event);
        return std::nullopt;
      }
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    const Status overdue = task->Overdue(now);
    if (overdue.ok()) return task;
    task->Fail(overdue);
  }
}

void CustomTaskQueue::DropOverdue(TimePoint now) {
  std::vector<CustomTask> overdue;
  {
    const MutexLock lock(mutex_);
    std::deque<CustomTask> rest;
    for (CustomTask& task : tasks_) {
      if (task.Overdue(now).ok()) {
        rest.push_back(std::move(task));
      } else {
        overdue.push_back(std::move(task));
      }
    }
    tasks_.swap(rest);
  }
  for (const CustomTask& task : overdue) task.Fail(task.Overdue(now));
}

void CustomTaskQueue::FailAll(const Status& status) {
  std::deque<CustomTask> tasks;
  {
    const MutexLock lock(mutex_);
    tasks.swap(tasks_);
  }
  for (const CustomTask& task : tasks) task.Fail(status);
}

void CustomTaskQueue::Record(std::chrono::nanoseconds time) {
  const MutexLock lock(mutex_);
  average_ += (time - average_) / kAverageMemory;
}

void CustomTaskQueue::Forget(int idle_event) {
  int other = -1;
  {
    const MutexLock lock(mutex_);
    std::erase(idle_, idle_event);
    if (tasks_.empty() || idle_.empty()) return;
    other = idle_.back();
    idle_.pop_back();
  }
  ::eventfd_write(other, 1);
}

}  // namespace tflite_serving
