#include "batching/batching_servable.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <ranges>
#include <utility>

#include <fmt/format.h>

#include "base/mutex.h"
#include "base/wake_ups.h"
#include "batching/batch_tensors.h"

namespace tflite_serving {
namespace {

// The rows of a request's inputs.
StatusOr<int64_t> CountRows(std::span<const TensorView> inputs) {
  if (inputs.empty()) return InvalidArgumentError("Batching Run() must have at least one input tensor");
  for (const TensorView& input : inputs) {
    if (input.shape.rank() == 0) return InvalidArgumentError("Batching Run() input tensors must have at least one dimension");
    if (input.shape[0] != inputs.front().shape[0]) {
      return InvalidArgumentError("Batching Run() input tensors must have equal 0th-dimension size");
    }
  }
  return inputs.front().shape[0];
}

// One batch on its way. Whoever runs it may let go of it last, and so it keeps no servable: its tasks do, until they are answered.
struct Batch : Cancellation {
  Batch(BatchScheduler::Source& from, std::vector<BatchTask> taken) : source(from), tasks(std::move(taken)) {}
  // Nobody wants its answers any more.
  bool cancelled() const override {
    return std::ranges::all_of(tasks,
                               [](const BatchTask& task) { return task.request.cancellation != nullptr && task.request.cancellation->cancelled(); });
  }

  BatchScheduler::Source& source;
  std::vector<BatchTask> tasks;
  int64_t rows = 0;            // of the run: those of the tasks and the filler
  std::vector<Tensor> memory;  // of inputs that were put together
  std::vector<TensorView> inputs;
  RunTimeline times;
};

bool IsAligned(const TensorView& tensor) { return tensor.bytes.empty() || reinterpret_cast<uintptr_t>(tensor.bytes.data()) % kTensorAlignment == 0; }

// A request without rows, which runs alone.
bool IsEmpty(const BatchTask& task) { return task.request.inputs.front().shape[0] == 0; }

// Puts the tasks' inputs together; a single task's, if nothing has to be filled up and they are where the runtime can read them, stay where they are.
Status Assemble(const BatchingParameters& parameters, int64_t rows, Batch& batch) {
  const RunRequest& first = batch.tasks.front().request;
  if (batch.tasks.size() == 1 && batch.rows == rows && std::ranges::all_of(first.inputs, IsAligned)) {
    batch.inputs.assign(first.inputs.begin(), first.inputs.end());
    return OkStatus();
  }
  std::vector<TensorView> parts(batch.tasks.size());
  for (size_t i = 0; i < first.inputs.size(); ++i) {
    std::ranges::transform(batch.tasks, parts.begin(), [i](const BatchTask& task) { return task.request.inputs[i]; });
    TFLS_ASSIGN_OR_RETURN(Tensor whole, ConcatenateRows(parts, batch.rows, parameters.pad_value));
    batch.inputs.push_back(whole.view());
    batch.memory.push_back(std::move(whole));
  }
  return OkStatus();
}

Status CheckOutputs(std::span<const TensorView> outputs, int64_t rows) {
  for (const TensorView& output : outputs) {
    if (output.shape.rank() == 0) return FailedPreconditionError("Batched output tensor has 0 dimensions");
    if (output.shape[0] != rows) {
      return FailedPreconditionError("Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors");
    }
  }
  return OkStatus();
}

// `run`, noted for one request of those that shared it.
void NoteRun(const RunTimeline& run, RunTimeline* times) {
  if (times != nullptr) *times = {.given = times->given, .began = run.began, .ended = run.ended};
}

// Whether others may be answered although this is how their common run ended.
bool IsEachOnesOwn(const Status& status) { return status.code() != StatusCode::kDeadlineExceeded && status.code() != StatusCode::kCancelled; }

// Answers to a batch of which each has no more bytes of tensors than this leave together; others take so long to write that the first would wait.
constexpr size_t kMaxPutOffBytes = size_t{16} << 10;

size_t BytesOf(std::span<const TensorView> tensors) {
  size_t bytes = 0;
  for (const TensorView& tensor : tensors) bytes += tensor.bytes.size();
  return bytes;
}

// The end of a batch's run.
void Answer(BatchScheduler& scheduler, Batch& batch, Status status, std::span<const TensorView> outputs) {
  std::optional<WakeUps> once;  // for all the answers
  if (BytesOf(outputs) / batch.tasks.size() <= kMaxPutOffBytes) once.emplace();
  const bool is_single = batch.tasks.size() == 1;
  if (is_single && batch.rows == batch.tasks.front().rows) return batch.tasks.front().done(status, outputs);
  if (status.ok()) status = CheckOutputs(outputs, batch.rows);
  if (!status.ok()) {
    for (BatchTask& task : std::views::reverse(batch.tasks)) {
      if (is_single || !IsEachOnesOwn(status)) {
        task.done(status, {});
      } else {
        task.alone = true;
        scheduler.Resubmit(batch.source, std::move(task));
      }
    }
    return;
  }
  std::vector<TensorView> slices(outputs.size());
  std::vector<Tensor> strings;
  int64_t first = 0;
  for (const BatchTask& task : batch.tasks) {
    strings.clear();
    const Status sliced = SliceRows(outputs, first, task.rows, slices, strings);
    first += task.rows;
    task.done(sliced, sliced.ok() ? slices : std::span<const TensorView>());
  }
}

// `is_elsewhere`: the run goes on when the servable's Run has returned, and ends on another thread.
void RunBatch(BatchScheduler& scheduler, Servable& servable, const BatchingParameters& parameters, bool is_elsewhere, Histogram& run_rows,
              const std::shared_ptr<Batch>& batch) {
  int64_t rows = 0;
  const auto taken = std::chrono::steady_clock::now();
  for (const BatchTask& task : batch->tasks) {
    rows += task.rows;
    if (!task.alone) scheduler.metrics().Waited(taken - task.arrived);  // it was in a batch before, whose wait is counted
  }
  const bool is_empty = IsEmpty(batch->tasks.front());
  batch->rows = is_empty ? rows : RowsWithFiller(parameters, rows);
  Status assembled = Assemble(parameters, rows, *batch);
  if (!assembled.ok() && batch->rows > rows) {  // perhaps it is the filler that there is no room for
    batch->rows = rows;
    batch->inputs.clear();
    batch->memory.clear();
    assembled = Assemble(parameters, rows, *batch);
  }
  if (!assembled.ok()) {
    scheduler.Answered(batch->source, rows);
    Answer(scheduler, *batch, assembled, {});
    if (is_elsewhere) scheduler.Ended();
    return;
  }
  scheduler.metrics().Ran(batch->rows, batch->rows - rows);
  run_rows.Observe(static_cast<uint64_t>(batch->rows));
  RunRequest request = batch->tasks.front().request;
  request.inputs = batch->inputs;
  request.times = &batch->times;
  request.cancellation = batch.get();
  for (const BatchTask& task : batch->tasks) request.deadline = std::max(request.deadline, task.request.deadline);
  servable.Run(request, [&scheduler, batch, rows, taken, is_empty, is_elsewhere](const Status& status, std::span<const TensorView> outputs) {
    // With what it took to put the rows together.
    if (status.ok() && !is_empty) scheduler.Record(batch->source, batch->rows, std::chrono::steady_clock::now() - taken);
    scheduler.Answered(batch->source, rows);  // before they are: the next requests may follow at once
    for (const BatchTask& task : batch->tasks) NoteRun(batch->times, task.request.times);
    Answer(scheduler, *batch, status, outputs);
    if (is_elsewhere) scheduler.Ended();
  });
}

// A request that is run in pieces, and where their answers are put together.
class SplitRequest : public std::enable_shared_from_this<SplitRequest> {
 public:
  SplitRequest(const RunRequest& request, RunDone done) : request_(request), done_(std::move(done)) {}

  // Makes the pieces: before all else.
  Status Split(int64_t rows, int64_t max_rows) {
    for (int64_t first = 0; first < rows; first += max_rows) {
      std::vector<TensorView>& inputs = inputs_.emplace_back(request_.inputs.size());
      TFLS_RETURN_IF_ERROR(SliceRows(request_.inputs, first, std::min(max_rows, rows - first), inputs, strings_));
    }
    const MutexLock lock(mutex_);
    outputs_.resize(inputs_.size());
    num_unfinished_ = inputs_.size();
    times_.resize(inputs_.size());
    return OkStatus();
  }
  size_t num_pieces() const { return inputs_.size(); }
  BatchTask Piece(size_t piece) {
    BatchTask task{.request = request_, .rows = inputs_[piece].front().shape[0]};
    task.request.inputs = inputs_[piece];
    task.request.times = &times_[piece];
    task.done = [self = shared_from_this(), piece](const Status& status, std::span<const TensorView> outputs) {
      self->Finish(piece, status, outputs);
    };
    return task;
  }
  void Finish(size_t piece, Status status, std::span<const TensorView> outputs) {
    std::vector<Tensor> copies;
    if (status.ok()) status = CheckOutputs(outputs, inputs_[piece].front().shape[0]);
    if (status.ok()) status = CopyAll(outputs, copies);
    {
      const MutexLock lock(mutex_);
      outputs_[piece] = std::move(copies);
      if (status_.ok()) status_ = status;
      if (--num_unfinished_ > 0) return;
    }
    Reply();
  }

 private:
  static Status CopyAll(std::span<const TensorView> tensors, std::vector<Tensor>& copies) {
    for (const TensorView& tensor : tensors) {
      TFLS_ASSIGN_OR_RETURN(Tensor copy, ConcatenateRows({&tensor, 1}, tensor.shape[0], 0));
      copies.push_back(std::move(copy));
    }
    return OkStatus();
  }
  // All pieces have ended: nobody else is here any more.
  void Reply() {
    std::vector<std::vector<Tensor>> by_piece;
    Status status;
    {
      const MutexLock lock(mutex_);
      by_piece = std::move(outputs_);
      status = status_;
    }
    std::vector<Tensor> outputs;
    if (status.ok()) status = Join(by_piece, outputs);
    if (!status.ok()) return done_(status, {});
    NoteRun({.began = std::ranges::min(times_, {}, &RunTimeline::began).began, .ended = std::ranges::max(times_, {}, &RunTimeline::ended).ended},
            request_.times);
    std::vector<TensorView> views;
    for (const Tensor& output : outputs) views.push_back(output.view());
    done_(OkStatus(), views);
  }
  static Status Join(const std::vector<std::vector<Tensor>>& by_piece, std::vector<Tensor>& outputs) {
    for (size_t i = 0; i < by_piece.front().size(); ++i) {
      std::vector<TensorView> parts;
      int64_t rows = 0;
      for (const std::vector<Tensor>& piece : by_piece) {
        parts.push_back(piece[i].view());
        rows += piece[i].shape()[0];
      }
      TFLS_ASSIGN_OR_RETURN(Tensor whole, ConcatenateRows(parts, rows, 0));
      outputs.push_back(std::move(whole));
    }
    return OkStatus();
  }

  const RunRequest request_;
  const RunDone done_;
  std::vector<std::vector<TensorView>> inputs_;  // by piece
  std::vector<Tensor> strings_;                  // of inputs_
  std::vector<RunTimeline> times_;               // by piece; each is the run's own until it has ended
  Mutex mutex_;
  std::vector<std::vector<Tensor>> outputs_ TFLS_GUARDED_BY(mutex_);  // by piece
  Status status_ TFLS_GUARDED_BY(mutex_);                             // the first that is not OK
  size_t num_unfinished_ TFLS_GUARDED_BY(mutex_) = 0;
};

}  // namespace

BatchingServable::BatchingServable(ServableHandle servable, const std::vector<bool>& batches, const BatchingParameters& parameters,
                                   BatchScheduler& scheduler, int max_running_elsewhere)
    : servable_(std::move(servable)), parameters_(parameters), scheduler_(scheduler), rows_(std::make_shared<Histogram>(metrics::kBatchRows)) {
  for (const bool is_batched : batches) {
    BatchScheduler::SourceHandle& source = sources_.emplace_back();
    if (!is_batched) continue;
    const bool is_elsewhere = max_running_elsewhere > 0;
    source = scheduler.NewSource(
        BatchQueue(parameters),
        [servable = servable_, parameters, is_elsewhere, rows = rows_, &scheduler](BatchScheduler::Source& from, std::vector<BatchTask> tasks) {
          RunBatch(scheduler, *servable, parameters, is_elsewhere, *rows, std::make_shared<Batch>(from, std::move(tasks)));
        },
        max_running_elsewhere);
  }
}

void BatchingServable::Run(const RunRequest& request, RunDone done) {
  const BatchScheduler::SourceHandle& source = sources_[static_cast<size_t>(request.signature - signatures().data())];
  if (source == nullptr) return servable_->Run(request, std::move(done));
  const StatusOr<int64_t> rows = CountRows(request.inputs);
  if (!rows.ok()) return done(rows.status(), {});
  if (*rows > parameters_.max_batch_size) {
    return done(InvalidArgumentError(fmt::format("Task size {} is larger than maximum input batch size {}", *rows, parameters_.max_batch_size)), {});
  }
  size_t input_bytes = 0;
  for (const TensorView& input : request.inputs) input_bytes += input.bytes.size();
  if (servable_->RunsInline(input_bytes)) return servable_->Run(request, std::move(done));

  std::vector<BatchTask> tasks;
  if (const int64_t max_rows = MaxRowsOfRun(parameters_); *rows > max_rows) {
    const auto whole = std::make_shared<SplitRequest>(request, done);
    if (const Status status = whole->Split(*rows, max_rows); !status.ok()) return done(status, {});
    for (size_t i = 0; i < whole->num_pieces(); ++i) tasks.push_back(whole->Piece(i));
  } else {
    // One without rows counts as one row, and runs as it is.
    tasks.push_back({.request = request, .done = done, .rows = std::max<int64_t>(*rows, 1), .alone = *rows == 0});
  }
  if (const Status status = scheduler_.Submit(source, tasks); !status.ok()) {
    scheduler_.metrics().Rejected();
    return done(status, {});
  }
  scheduler_.metrics().Submitted(*rows);
}

void BatchingServable::Collect(MetricsPage& page) const {
  page.Add(metrics::kBatchRows, {id().name, std::to_string(id().version)}, *rows_);
  servable_->Collect(page);
}

void BatchingServable::RecordRun(size_t signature, int64_t rows, std::chrono::nanoseconds time) {
  if (sources_[signature] != nullptr) scheduler_.Record(*sources_[signature], rows, time);
}

bool BatchingServable::RunsInline(size_t request_bytes) const {
  if (servable_->RunsInline(request_bytes)) return true;
  return request_bytes <= kInlineRequestBytes && std::ranges::find(sources_, nullptr) == sources_.end();
}

}  // namespace tflite_serving
