// The requests to one signature that wait to be run together, and the decision when, and how many of them, are.
//
// A batch runs as soon as there is a thread for it, unless waiting pays: when more requests are expected to come so soon that the time for each row,
// the wait included, is shorter. How often they come and what a run takes is measured, and when a wait turns out not to have paid, the next batches
// do not wait. So one lone client is never held up, and batch_timeout_micros is an upper bound and no more: of the time that a thread waits. Counted
// from the arrival of a request that waited for that thread longer, it would keep clients in two halves for ever, of which one waits while the other
// runs.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "batching/batch_cost.h"
#include "servable/batching_parameters.h"
#include "servable/servable.h"

namespace tflite_serving {

// The rows that one run may have.
int64_t MaxRowsOfRun(const BatchingParameters& parameters);
// The rows that a run of `rows` has, with those that it is filled up with: the next of allowed_batch_sizes.
int64_t RowsWithFiller(const BatchingParameters& parameters, int64_t rows);

// A request, or a piece of one. All its inputs have the same first dimension, `rows` >= 1.
struct BatchTask {
  RunRequest request;
  RunDone done;
  int64_t rows = 1;
  TimePoint arrived{};
  bool alone = false;  // not to be put together with others: it may be the one for which their run failed
};

// No threads and no clock of its own. Thread-compatible.
class BatchQueue {
 public:
  struct Taken {
    std::vector<BatchTask> batch;    // alike in all dimensions but the first, or to be padded; may be empty
    std::vector<BatchTask> overdue;  // past their deadline, or their client has gone
  };

  explicit BatchQueue(const BatchingParameters& parameters) : parameters_(parameters), max_rows_(MaxRowsOfRun(parameters)) {}

  // UNAVAILABLE, in the original's words, when so many more rows would be more than max_enqueued_batches.
  Status CheckRoom(int64_t rows) const;
  void Add(BatchTask task, TimePoint now);
  // Puts a task that was taken, and said to be answered, in front of all others.
  void Return(BatchTask task);

  bool empty() const { return tasks_.empty(); }

  // The threads that take batches of this queue, from 1 up: each should get the same share of the rows.
  void set_num_threads(int num_threads) { num_threads_ = num_threads; }
  // When a free thread should take a batch: `now` or before, or how long it should wait for more; kNoDeadline if nothing is there.
  TimePoint StartTime(TimePoint now) const;
  // A thread waits for StartTime, from now on.
  void BeginWait(TimePoint now);
  Taken Take(TimePoint now);
  // So many rows that were taken are answered, or are about to be returned.
  void Answered(int64_t rows) { outstanding_ -= rows; }

  // A run of `rows`, those of a batch and what it was filled up with, took this long.
  void Record(int64_t rows, std::chrono::nanoseconds time) { cost_.Record(rows, time); }
  // What the runs of all that is running or waits are expected to take, one after the other, in the sizes that are best.
  std::chrono::nanoseconds ExpectedOfAll() const;
  size_t num_tasks() const { return tasks_.size(); }
  // Whether fewer rows wait than were taken and are not answered yet.
  bool is_shorter_than_runs() const { return rows_ < outstanding_ - rows_; }
  // When the first task came; `now` without one.
  TimePoint first_arrival(TimePoint now) const { return tasks_.empty() ? now : tasks_.front().arrived; }
  // What a run for this batch is expected to take.
  std::chrono::nanoseconds Expected(const std::vector<BatchTask>& batch) const;

 private:
  std::chrono::nanoseconds Cost(int64_t rows) const { return cost_.Expected(RowsWithFiller(parameters_, rows)); }
  int64_t Best(int64_t rows) const { return cost_.BestUpTo(rows, RowsWithFiller(parameters_, rows)); }
  void JudgeWait(int64_t rows, TimePoint now);
  void PutFirst(BatchTask task);
  // Whether a task may join a batch of so many rows, which shall have `wanted` and begins with `first`.
  bool Fits(const BatchTask& task, int64_t rows, int64_t wanted, const BatchTask& first) const;
  // The rows of a batch, if the threads divide all that are outstanding at the busiest times; and those that cost nothing more.
  int64_t MostRows() const { return std::min(max_rows_, RowsWithFiller(parameters_, (peak_ + num_threads_ - 1) / num_threads_)); }
  int64_t WantedRows();

  BatchingParameters parameters_;
  int64_t max_rows_;
  int num_threads_ = 1;
  BatchCost cost_;
  std::deque<BatchTask> tasks_;
  int64_t rows_ = 0;                            // of tasks_
  TimePoint earliest_deadline_ = kNoDeadline;   // of tasks_, or of some that were in there
  int64_t outstanding_ = 0;                     // rows that are in tasks_, or taken and not answered
  int64_t peak_ = 0;                            // the most of them, lately
  std::chrono::nanoseconds gap_ = kUnknownGap;  // between two rows of those that come close behind each other, on average
  TimePoint last_arrival_{};
  // The wait that is going on: when it began, and the rows that were there.
  TimePoint wait_since_{};
  int64_t wait_rows_ = 0;  // 0: none is
  // After waits that did not pay: batches that do not wait, this time and next time.
  int penalty_ = 0;
  int next_penalty_ = 1;
  // Taken since the last trial: in smaller batches than could be, or in such as could be.
  int64_t rows_since_most_ = 0;
  int64_t rows_since_single_ = 0;

  static constexpr std::chrono::nanoseconds kUnknownGap = std::chrono::seconds(1);
};

}  // namespace tflite_serving
