// When a queue is too long to take one more task: the rule of all queues in which requests wait.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/clock.h"

namespace tflite_serving {

// Of one queue. Refuses a task that would wait longer than `max_wait`. That has happened because more comes than can be done; a long queue then only
// makes those wait who are let in. So from then on a task is refused that would wait longer than a quarter of `max_wait`: until the wait has fallen
// below an eighth, which clients that ask again at once may prevent, or for sixty times `max_wait`. Thread-compatible.
class QueueLimit {
 public:
  // Before one that is refused, for each thread, however long they take.
  static constexpr size_t kAlwaysQueued = 16;

  // `max_wait`: nanoseconds::max() for any time.
  QueueLimit(std::chrono::nanoseconds max_wait, int num_threads)
      : max_wait_(max_wait), always_queued_(kAlwaysQueued * static_cast<size_t>(num_threads)) {}

  // False: Refuses would be, whatever the wait, which then need not be reckoned.
  bool may_refuse(size_t num_queued) const { return is_overloaded_ || num_queued >= always_queued_; }
  // Whether to refuse one that comes `now`, has `num_queued` before it and would wait for `wait`, by what tasks took lately.
  bool Refuses(size_t num_queued, std::chrono::nanoseconds wait, TimePoint now) {
    if (is_overloaded_ && (wait < max_wait_ / 8 || now - overloaded_since_ > 60 * max_wait_)) is_overloaded_ = false;
    if (num_queued < always_queued_) return false;
    if (!is_overloaded_ && wait > max_wait_) {
      is_overloaded_ = true;
      overloaded_since_ = now;
    }
    return is_overloaded_ && wait > max_wait_ / 4;
  }

 private:
  const std::chrono::nanoseconds max_wait_;
  const size_t always_queued_;
  bool is_overloaded_ = false;
  TimePoint overloaded_since_{};
};

}  // namespace tflite_serving
