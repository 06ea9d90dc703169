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
constexpr int kCloseShare = 4;
// Nobody has come for so many gaps, and for this part of the time that would be saved: the wait is given up. Those who are to come have to be
// answered first, by the threads that read them.
constexpr int kPatientGaps = 8;
constexpr int kPatientShare = 4;
constexpr int kMaxPenalty = 256;
// Of the most rows that were outstanding: what is above those that are now loses an eighth with each batch.
constexpr int kPeakMemory = 8;
// Nothing has been outstanding for so many times what those rows would take: whoever sent them is not expected back.
constexpr int kAwayRuns = 16;
// After so many times the rows that wait, a batch has another size than seems best: all that wait or, if those are best, a single one that does not
// seem to take so many times as long.
constexpr int kTryEvery = 32;
constexpr int kTriedLoss = 2;
// Tasks that a batch may leave in front of those that it takes.
constexpr size_t kMaxPassedOver = 64;
// Waiting is worth it when it is expected to save more than it takes; or takes no larger part of a run than this, since what it saves is not known
// well.
constexpr int kCheapShare = 32;

// Whether requests to the same signature can share a run as they are.
bool AreAlike(const RunRequest& a, const RunRequest& b) {
  return std::ranges::equal(a.inputs, b.inputs, [](const TensorView& x, const TensorView& y) {
    return std::ranges::equal(x.shape.dims().subspan(1), y.shape.dims().subspan(1));
  });
}

bool IsOverdue(const BatchTask& task, TimePoint now) {
  return now >= task.request.deadline || (task.request.cancellation != nullptr && task.request.cancellation->cancelled());
}

bool IsCheap(nanoseconds wait, nanoseconds run) { return wait <= run / kCheapShare; }

}  // namespace

int64_t MaxRowsOfRun(const BatchingParameters& parameters) {
  const bool splits = parameters.enable_large_batch_splitting && parameters.max_execution_batch_size > 0;
  return splits ? parameters.max_execution_batch_size : parameters.max_batch_size;
}

int64_t RowsWithFiller(const BatchingParameters& parameters, int64_t rows) {
  const auto allowed = std::ranges::lower_bound(parameters.allowed_batch_sizes, rows);
  return allowed == parameters.allowed_batch_sizes.end() || *allowed > MaxRowsOfRun(parameters) ? rows : *allowed;
}

Status BatchQueue::CheckRoom(int64_t rows) const {
  const auto batches_of = [this](int64_t of) { return (of + max_rows_ - 1) / max_rows_; };
  if (batches_of(rows_ + rows) <= parameters_.max_enqueued_batches) return OkStatus();
  return UnavailableError(
      fmt::format("The batch scheduling queue to which this task was submitted is full; currently {} batches enqueued and "
                  "max_enqueued_batches is {}",
                  batches_of(rows_), parameters_.max_enqueued_batches));
}

void BatchQueue::Add(BatchTask task, TimePoint now) {
  // Rows that come together: so close that some would come during the shortest run. Longer pauses say nothing of those.
  const nanoseconds close = Cost(1) / kCloseShare;
  if (const nanoseconds gap = (now - last_arrival_) / task.rows; gap < close) {
    gap_ = std::min(gap_, close);
    gap_ += (gap - gap_) / kGapMemory;
  }
  if (outstanding_ == 0 && now - last_arrival_ > kAwayRuns * Cost(peak_)) peak_ = 0;
  last_arrival_ = task.arrived = now;
  outstanding_ += task.rows;
  peak_ = std::max(peak_, outstanding_);
  rows_ += task.rows;
  earliest_deadline_ = std::min(earliest_deadline_, task.request.deadline);
  tasks_.push_back(std::move(task));
}

void BatchQueue::Return(BatchTask task) {
  outstanding_ += task.rows;
  peak_ = std::max(peak_, outstanding_);
  PutFirst(std::move(task));
}

void BatchQueue::PutFirst(BatchTask task) {
  rows_ += task.rows;
  earliest_deadline_ = std::min(earliest_deadline_, task.request.deadline);
  tasks_.push_front(std::move(task));
}

nanoseconds BatchQueue::Expected(const std::vector<BatchTask>& batch) const {
  int64_t rows = 0;
  for (const BatchTask& task : batch) rows += task.rows;
  return rows == 0 ? nanoseconds(0) : Cost(rows);
}

nanoseconds BatchQueue::ExpectedOfAll() const {
  if (outstanding_ == 0) return nanoseconds(0);
  const int64_t of_run = Best(std::min(outstanding_, max_rows_));
  const int64_t rest = outstanding_ % of_run;
  return outstanding_ / of_run * Cost(of_run) + (rest == 0 ? nanoseconds(0) : Cost(rest));
}

TimePoint BatchQueue::StartTime(TimePoint now) const {
  if (tasks_.empty()) return kNoDeadline;
  const int64_t expected = std::min(peak_ - outstanding_, MostRows() - rows_);
  const bool may_wait = parameters_.batch_timeout_micros > 0 && expected > 0 && penalty_ == 0 && !tasks_.front().alone;
  if (!may_wait) return now;
  const TimePoint since = wait_rows_ > 0 ? wait_since_ : now;
  const TimePoint latest = since + std::chrono::microseconds(parameters_.batch_timeout_micros);
  const nanoseconds wait = expected * gap_;
  const nanoseconds run = Cost(rows_);
  const nanoseconds saved = run / rows_ * (rows_ + expected) - Cost(rows_ + expected);
  if (wait > latest - now || saved < (IsCheap(wait, run) ? nanoseconds(0) : wait) || Best(rows_ + expected) == 1) return now;
  const nanoseconds patience = std::max(kPatientGaps * gap_, saved / kPatientShare);
  return std::min({latest, std::max(last_arrival_, since) + patience, earliest_deadline_ - 2 * run});
}

void BatchQueue::BeginWait(TimePoint now) {
  if (wait_rows_ > 0) return;
  wait_since_ = now;
  wait_rows_ = rows_;
}

void BatchQueue::JudgeWait(int64_t rows, TimePoint now) {
  const nanoseconds waited = now - wait_since_;
  const bool has_paid = IsCheap(waited, Cost(rows)) || (waited + Cost(rows)) / rows < Cost(wait_rows_) / wait_rows_;
  next_penalty_ = has_paid ? 1 : std::min(2 * next_penalty_, kMaxPenalty);
  penalty_ = has_paid ? 0 : next_penalty_;
}

int64_t BatchQueue::WantedRows() {
  const int64_t most = std::min(rows_, MostRows());
  const int64_t best = Best(most);
  // Now and then another, or one that was slow once would never be tried again.
  int64_t& since_trial = best < most ? rows_since_most_ : rows_since_single_;
  since_trial += best;
  if (since_trial < kTryEvery * most) return best;
  since_trial = 0;
  if (best < most) return RowsWithFiller(parameters_, most) == most ? cost_.Trial(most) : most;
  return Cost(1) < kTriedLoss * Cost(most) / most ? 1 : most;
}

BatchQueue::Taken BatchQueue::Take(TimePoint now) {
  Taken taken;
  const int64_t wanted = WantedRows();
  std::vector<BatchTask> passed_over;
  int64_t rows = 0;
  while (!tasks_.empty() && rows < wanted && passed_over.size() < kMaxPassedOver) {
    BatchTask task = std::move(tasks_.front());
    tasks_.pop_front();
    rows_ -= task.rows;
    if (IsOverdue(task, now)) {
      outstanding_ -= task.rows;
      taken.overdue.push_back(std::move(task));
    } else if (taken.batch.empty() || Fits(task, rows, wanted, taken.batch.front())) {
      rows += task.rows;
      taken.batch.push_back(std::move(task));
      if (taken.batch.front().alone) break;
    } else {
      passed_over.push_back(std::move(task));
    }
  }
  for (BatchTask& task : std::views::reverse(passed_over)) PutFirst(std::move(task));
  if (tasks_.empty()) earliest_deadline_ = kNoDeadline;
  if (penalty_ > 0) --penalty_;
  if (wait_rows_ > 0 && rows > 0) JudgeWait(rows, now);
  wait_rows_ = 0;
  peak_ -= (peak_ - outstanding_ + kPeakMemory - 1) / kPeakMemory;
  return taken;
}

bool BatchQueue::Fits(const BatchTask& task, int64_t rows, int64_t wanted, const BatchTask& first) const {
  return rows + task.rows <= wanted && !task.alone && (parameters_.pad_variable_length_inputs || AreAlike(first.request, task.request));
}

}  // namespace tflite_serving
