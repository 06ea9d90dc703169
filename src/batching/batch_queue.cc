#include "batching/batch_queue.h"

#include <algorithm>
#include <ranges>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;

// Of the last gaps between arrivals: the weight of a new one is an eighth.
constexpr int kGapMemory = 8;
// Nobody has come for so many gaps: the wait is given up.
constexpr int kPatientGaps = 8;
constexpr int kMaxPenalty = 256;
// Waiting is worth it when it is expected to save so much of the time for each row.
constexpr int64_t kWorthwhilePercent = 90;

// Whether requests to the same signature can share a run as they are.
bool AreAlike(const RunRequest& a, const RunRequest& b) {
  return std::ranges::equal(a.inputs, b.inputs, [](const TensorView& x, const TensorView& y) {
    return std::ranges::equal(x.shape.dims().subspan(1), y.shape.dims().subspan(1));
  });
}

bool IsOverdue(const BatchTask& task, TimePoint now) {
  return now >= task.request.deadline || (task.request.cancellation != nullptr && task.request.cancellation->cancelled());
}

}  // namespace

int64_t MaxRowsOfRun(const BatchingParameters& parameters) {
  const bool splits = parameters.enable_large_batch_splitting && parameters.max_execution_batch_size > 0;
  return splits ? parameters.max_execution_batch_size : parameters.max_batch_size;
}

Status BatchQueue::Add(BatchTask& task, TimePoint now) {
  const int64_t batches = (rows_ + max_rows_ - 1) / max_rows_;
  if ((rows_ + task.rows + max_rows_ - 1) / max_rows_ > parameters_.max_enqueued_batches) {
    return UnavailableError(
        fmt::format("The batch scheduling queue to which this task was submitted is full; currently {} batches enqueued and "
                    "max_enqueued_batches is {}",
                    batches, parameters_.max_enqueued_batches));
  }
  // A longer pause says no more than one as long as the longest wait, or it would take many arrivals to forget.
  const nanoseconds longest = 2 * std::chrono::microseconds(parameters_.batch_timeout_micros);
  gap_ = std::min(gap_, longest);
  gap_ += (std::min<nanoseconds>(now - last_arrival_, longest) / task.rows - gap_) / kGapMemory;
  last_arrival_ = task.arrived = now;
  rows_ += task.rows;
  tasks_.push_back(std::move(task));
  return OkStatus();
}

void BatchQueue::Return(BatchTask task) {
  rows_ += task.rows;
  tasks_.push_front(std::move(task));
}

TimePoint BatchQueue::StartTime(TimePoint now) const {
  if (tasks_.empty()) return kNoDeadline;
  if (parameters_.batch_timeout_micros == 0 || rows_ >= max_rows_ || penalty_ > 0 || tasks_.front().alone || !WaitingPays(now)) return now;
  const TimePoint latest = tasks_.front().arrived + std::chrono::microseconds(parameters_.batch_timeout_micros);
  return std::min({latest, last_arrival_ + kPatientGaps * gap_, tasks_.front().request.deadline - 2 * cost_.Expected(rows_)});
}

bool BatchQueue::WaitingPays(TimePoint now) const {
  const nanoseconds patience = tasks_.front().arrived + std::chrono::microseconds(parameters_.batch_timeout_micros) - now;
  return cost_.BestByWaiting(rows_, max_rows_, gap_, patience) < cost_.Expected(rows_) / rows_ * kWorthwhilePercent / 100;
}

void BatchQueue::BeginWait(TimePoint now) {
  if (wait_rows_ > 0) return;
  wait_since_ = now;
  wait_rows_ = rows_;
}

void BatchQueue::JudgeWait(int64_t rows, TimePoint now) {
  const bool has_paid = (now - wait_since_ + cost_.Expected(rows)) / rows < cost_.Expected(wait_rows_) / wait_rows_;
  next_penalty_ = has_paid ? 1 : std::min(2 * next_penalty_, kMaxPenalty);
  penalty_ = has_paid ? 0 : next_penalty_;
  wait_rows_ = 0;
}

BatchQueue::Taken BatchQueue::Take(TimePoint now) {
  Taken taken;
  const int64_t wanted = cost_.BestUpTo(std::min(rows_, max_rows_));
  std::vector<BatchTask> passed_over;
  int64_t rows = 0;
  while (!tasks_.empty() && rows < wanted) {
    BatchTask task = std::move(tasks_.front());
    tasks_.pop_front();
    rows_ -= task.rows;
    if (IsOverdue(task, now)) {
      taken.overdue.push_back(std::move(task));
    } else if (taken.batch.empty() || Fits(task, rows, wanted, taken.batch.front())) {
      rows += task.rows;
      taken.batch.push_back(std::move(task));
    } else {
      passed_over.push_back(std::move(task));
    }
  }
  for (BatchTask& task : std::views::reverse(passed_over)) Return(std::move(task));
  if (penalty_ > 0) --penalty_;
  if (wait_rows_ > 0 && rows > 0) JudgeWait(rows, now);
  return taken;
}

bool BatchQueue::Fits(const BatchTask& task, int64_t rows, int64_t wanted, const BatchTask& first) const {
  return rows + task.rows <= wanted && !task.alone && !first.alone &&
         (parameters_.pad_variable_length_inputs || AreAlike(first.request, task.request));
}

}  // namespace tflite_serving
