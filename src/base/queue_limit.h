// When a queue is too long to take one more task: the rule of all queues in which requests wait.
#pragma once

#include <chrono>
#include <cstddef>

namespace tflite_serving {

// Of one queue. Refuses a task that would wait longer than `max_wait`. That has happened because more comes than can be done; a long queue then only
// makes those wait who are let in, so until the wait has fallen below an eighth of `max_wait`, a task is refused that would wait longer than a
// quarter of it. Thread-compatible.
class QueueLimit {
 public:
  // Before one that is refused, for each thread, however long they take.
  static constexpr size_t kAlwaysQueued = 16;

  // `max_wait`: nanoseconds::max() for any time.
  QueueLimit(std::chrono::nanoseconds max_wait, int num_threads)
      : max_wait_(max_wait), always_queued_(kAlwaysQueued * static_cast<size_t>(num_threads)) {}

  // Whether to refuse one that has `num_queued` before it and would wait for `wait`, by what tasks took lately.
  bool Refuses(size_t num_queued, std::chrono::nanoseconds wait) {
    if (wait > max_wait_) is_overloaded_ = true;
    if (wait < max_wait_ / 8) is_overloaded_ = false;
    return is_overloaded_ && wait > max_wait_ / 4 && num_queued >= always_queued_;
  }

 private:
  const std::chrono::nanoseconds max_wait_;
  const size_t always_queued_;
  bool is_overloaded_ = false;
};

}  // namespace tflite_serving
