#include "custom/python_worker.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/child_process.h"
#include "base/thread.h"
#include "custom/output_check.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;

// How often the process is looked at while it runs something: its memory, and who still waits for it.
constexpr milliseconds kLookInterval{100};
constexpr double kMiB = 1 << 20;
constexpr int kMaxDoublings = 20;  // of a pause: more than from any first to any longest one

TimePoint Now() { return Clock::Steady().Now(); }

std::chrono::microseconds TimeLeft(TimePoint deadline) {
  if (deadline == kNoDeadline) return std::chrono::microseconds(-1);
  return std::max(std::chrono::microseconds(0), std::chrono::duration_cast<std::chrono::microseconds>(deadline - Now()));
}

int PollTimeout(TimePoint until) {
  const auto left = std::chrono::ceil<milliseconds>(until - Now());
  return static_cast<int>(std::clamp<milliseconds>(left, milliseconds(0), std::chrono::hours(1)).count());
}

size_t Aligned(size_t bytes) { return (bytes + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment; }

Status CheckReady(const WorkerReady& ready) {
  if (ready.takes_tensors && ready.signatures.empty()) return InternalError("the worker takes tensors and names no signature");
  for (const Signature& signature : ready.signatures) {
    for (const auto* specs : {&signature.inputs, &signature.outputs}) {
      for (const TensorSpec& spec : *specs) TFLS_RETURN_IF_ERROR(CheckSpec(signature, spec));
    }
  }
  return OkStatus();
}

bool IsSame(const WorkerReady& a, const WorkerReady& b) {
  return a.takes_tensors == b.takes_tensors && a.batchable == b.batchable &&
         std::ranges::equal(a.signatures, b.signatures, {}, &Signature::ToString, &Signature::ToString);
}

}  // namespace

PythonWorker::PythonWorker(const ServableId& id, int number, const PythonServableOptions& options, CustomTaskQueue& queue)
    : id_(id), number_(number), options_(options), queue_(queue), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_.valid()) {
    first_load_ = ErrnoToStatus(errno, "an eventfd for a worker");
    return;
  }
  thread_ = StartThread("python_worker", [this] { Work(); });
}

void PythonWorker::Stop() {
  stopping_ = true;
  ::eventfd_write(event_.get(), 1);
}

StatusOr<WorkerReady> PythonWorker::WaitUntilLoaded(const Cancellation* stop) {
  const MutexLock lock(mutex_);
  while (!first_load_) {
    if (stop != nullptr && stop->cancelled()) return CancelledError("loading the servable was given up");
    loaded_.WaitUntil(mutex_, Now() + kLookInterval);
  }
  return *first_load_;
}

bool PythonWorker::is_up() const {
  const MutexLock lock(mutex_);
  return health_.ok();
}

Status PythonWorker::health() const {
  const MutexLock lock(mutex_);
  return health_;
}

size_t PythonWorker::memory_bytes() const {
  const pid_t pid = pid_;
  return pid == 0 ? 0 : ProcessMemory(std::to_string(pid), "VmRSS");
}

void PythonWorker::SetHealth(Status health, TimePoint next_start) {
  const MutexLock lock(mutex_);
  health_ = std::move(health);
  next_start_ = next_start;
}

// --- The thread ---

void PythonWorker::Work() {
  for (;;) {
    if (process_ == nullptr) {
      if (stopping_) return;
      queue_.DropOverdue(Now());
      if (const TimePoint start = NextStart(); Now() < start) {
        Sleep(std::min(start, Now() + kLookInterval));
        continue;
      }
      const bool is_first = !ready_;
      if (const Status started = Start(); !started.ok()) {
        const Status failure = End(started);
        if (is_first) return TellLoaded(WithLastLine(failure));
        Pause(failure);
        continue;
      }
      if (is_first) TellLoaded(*ready_);
    }
    LogOutput(false);
    last_line_.clear();  // of no request that is in hand
    if (const auto message = process_->Receive(); !message.ok() || *message) {
      Pause(End(message.ok() ? InternalError("the worker sent a message that nobody asked for") : message.status()));
    } else if (const std::optional<CustomTask> task = queue_.Pop(event_.get(), Now())) {
      Serve(*task);
    } else if (stopping_) {
      break;
    } else {
      Sleep(kNoDeadline);
    }
  }
  queue_.Forget(event_.get());
  if (process_->Send(UnloadFrame()).ok()) process_->End(true);
  LogOutput(true);
}

TimePoint PythonWorker::NextStart() const {
  const MutexLock lock(mutex_);
  return next_start_;
}

void PythonWorker::TellLoaded(StatusOr<WorkerReady> loaded) {
  {
    const MutexLock lock(mutex_);
    first_load_ = std::move(loaded);
  }
  loaded_.NotifyAll();
}

Status PythonWorker::Start() {
  last_line_.clear();
  TFLS_ASSIGN_OR_RETURN(process_, WorkerProcess::Start(options_.command));
  pid_ = process_->pid();
  std::vector<std::pair<std::string, std::string>> values = options_.values;
  values.insert(values.begin(), {"instance", std::to_string(number_)});
  TFLS_RETURN_IF_ERROR(process_->Send(LoadFrame(values)));
  Exchange load{.limit = Now() + options_.load_timeout};
  TFLS_ASSIGN_OR_RETURN(WorkerReply reply, Await(load));
  if (const auto* error = std::get_if<WorkerError>(&reply)) return error->status;
  auto* ready = std::get_if<WorkerReady>(&reply);
  if (ready == nullptr) return InternalError("the worker answered a load with something else");
  TFLS_RETURN_IF_ERROR(CheckReady(*ready));
  if (ready_ && !IsSame(*ready_, *ready)) return FailedPreconditionError("the servable has other signatures than when it was loaded first");
  if (!ready_) ready_ = std::move(*ready);
  SetHealth(OkStatus(), {});
  is_ready_ = true;
  return OkStatus();
}

void PythonWorker::Serve(const CustomTask& task) {
  const TimePoint start = Now();
  if (RunTimeline* times = task.times()) times->began = start;
  Exchange exchange{.limit = start + options_.request_timeout, .task = &task};
  // What cannot be sent for want of memory is the request's own fault.
  const StatusOr<std::string> frame = FrameOf(task);
  if (!frame.ok()) return task.Fail(frame.status());
  // What is printed from here on is this request's, and nothing before.
  LogOutput(true);
  last_line_.clear();
  Status sent = process_->Send(*frame);
  const StatusOr<WorkerReply> reply = sent.ok() ? Await(exchange) : StatusOr<WorkerReply>(std::move(sent));
  const Status answered = reply.ok() ? Answer(exchange, *reply) : reply.status();
  queue_.Record(Now() - start);
  if (answered.ok()) return;
  const Status failure = End(answered);
  Pause(failure);
  if (!exchange.answered) task.Fail(WithLastLine(failure));
}

StatusOr<std::string> PythonWorker::FrameOf(const CustomTask& task) {
  const uint64_t id = ++last_id_;
  SharedArena& arena = process_->input_arena();
  if (const auto* json = std::get_if<JsonRunRequest>(&task.request)) {
    TFLS_ASSIGN_OR_RETURN(const std::span<std::byte> memory, arena.Write(json->body.size()));
    if (!json->body.empty()) std::memcpy(memory.data(), json->body.data(), json->body.size());
    return CallFrame(id, TimeLeft(json->deadline), 0, json->body.size());
  }
  const auto& request = std::get<RunRequest>(task.request);
  std::vector<ArenaTensor> tensors;
  size_t size = 0;
  for (const TensorView& input : request.inputs) {
    tensors.push_back({.dtype = input.dtype, .shape = input.shape, .arena = Arena::kInput, .offset = size, .bytes = input.bytes.size()});
    size += Aligned(input.bytes.size());
  }
  TFLS_ASSIGN_OR_RETURN(const std::span<std::byte> memory, arena.Write(size));
  for (size_t i = 0; i < tensors.size(); ++i) std::ranges::copy(request.inputs[i].bytes, memory.begin() + static_cast<ptrdiff_t>(tensors[i].offset));
  return PredictFrame(id, TimeLeft(request.deadline), task.signature_number, tensors);
}

StatusOr<WorkerReply> PythonWorker::Await(Exchange& exchange) {
  TimePoint next_look = Now() + kLookInterval;
  for (;;) {
    std::array<pollfd, 2> entries = {pollfd{.fd = process_->socket(), .events = POLLIN, .revents = 0},
                                     pollfd{.fd = process_->output(), .events = POLLIN, .revents = 0}};
    const TimePoint deadline = exchange.task == nullptr || exchange.answered ? kNoDeadline : exchange.task->deadline();
    ::poll(entries.data(), entries.size(), PollTimeout(std::min({next_look, exchange.limit, deadline})));
    if (entries[1].revents != 0) LogOutput(false);
    TFLS_ASSIGN_OR_RETURN(const auto message, process_->Receive());
    if (message) return ParseWorkerReply(*message);
    TFLS_RETURN_IF_ERROR(Look(exchange));
    if (Now() < next_look) continue;
    next_look = Now() + kLookInterval;
    queue_.DropOverdue(Now());
    if (const size_t memory = process_->memory_bytes(); options_.max_memory_bytes > 0 && memory > options_.max_memory_bytes) {
      return ResourceExhaustedError(fmt::format("the worker took {:.0f} MiB of memory, where {:.0f} are allowed (max_memory_mb), and was ended",
                                                static_cast<double>(memory) / kMiB, static_cast<double>(options_.max_memory_bytes) / kMiB));
    }
  }
}

Status PythonWorker::Look(Exchange& exchange) {
  const TimePoint now = Now();
  if (exchange.task == nullptr) {
    if (stopping_) return CancelledError("loading the servable was given up");
    if (now < exchange.limit) return OkStatus();
    return DeadlineExceededError(fmt::format("the servable was not loaded after {:.1f} s (load_timeout_seconds)",
                                             std::chrono::duration<double>(options_.load_timeout).count()));
  }
  // Once it has been answered its memory is gone, and the worker goes on, since nothing can stop it but its end.
  if (const Status overdue = exchange.answered ? OkStatus() : exchange.task->Overdue(now); !overdue.ok()) {
    exchange.answered = true;
    exchange.task->Fail(overdue);
  }
  if (exchange.answered && stopping_) return CancelledError("the servable is unloaded");
  if (now < exchange.limit) return OkStatus();
  return UnavailableError(fmt::format("the worker took longer than {:.1f} s for a request (request_timeout_seconds), and was ended",
                                      std::chrono::duration<double>(options_.request_timeout).count()));
}

Status PythonWorker::Answer(Exchange& exchange, const WorkerReply& reply) {
  const CustomTask& task = *exchange.task;
  if (RunTimeline* times = exchange.answered ? nullptr : task.times()) times->ended = Now();
  if (const auto* error = std::get_if<WorkerError>(&reply); error != nullptr && error->id == last_id_) {
    LogFailure(error->status);
    if (!std::exchange(exchange.answered, true)) task.Fail(error->status);
    return error->is_last ? UnavailableError("the servable ended its worker") : OkStatus();
  }
  const auto* json_done = std::get_if<JsonRunDone>(&task.done);
  if (const auto* answer = std::get_if<WorkerAnswer>(&reply); answer != nullptr && answer->id == last_id_ && json_done != nullptr) {
    TFLS_ASSIGN_OR_RETURN(const auto bytes, process_->output_arena().Read(answer->offset, answer->bytes));
    failures_ = 0;
    if (exchange.answered) return OkStatus();
    (*json_done)(OkStatus(), {.text = {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, .is_error = answer->is_error});
    return OkStatus();
  }
  if (const auto* result = std::get_if<WorkerResult>(&reply); result != nullptr && result->id == last_id_ && json_done == nullptr) {
    std::vector<TensorView> outputs;
    std::vector<AlignedBuffer> strings;
    TFLS_RETURN_IF_ERROR(ReadOutputs(*result, *std::get<RunRequest>(task.request).signature, outputs, strings));
    failures_ = 0;
    if (!exchange.answered) std::get<RunDone>(task.done)(OkStatus(), outputs);
    return OkStatus();
  }
  return InternalError("the worker answered something else than it was asked");
}

void PythonWorker::LogFailure(const Status& status) const {
  if (status.code() != StatusCode::kInternal && status.code() != StatusCode::kUnknown) return;
  TFLS_WARNING("{} worker {}: a request failed: {}", id_.ToString(), number_, status.message());
}

Status PythonWorker::ReadOutputs(const WorkerResult& result, const Signature& signature, std::vector<TensorView>& outputs,
                                 std::vector<AlignedBuffer>& strings) {
  if (result.outputs.size() != signature.outputs.size()) {
    return InternalError(fmt::format("the worker answered {} outputs, where its signature has {}", result.outputs.size(), signature.outputs.size()));
  }
  const auto arena_of = [this](const ArenaTensor& tensor) -> SharedArena& {
    return tensor.arena == Arena::kInput ? process_->input_arena() : process_->output_arena();
  };
  // First all of them, since reading what is not mapped yet moves the rest.
  for (const ArenaTensor& tensor : result.outputs) TFLS_RETURN_IF_ERROR(arena_of(tensor).Read(tensor.offset, tensor.bytes).status());
  for (size_t i = 0; i < result.outputs.size(); ++i) {
    const ArenaTensor& tensor = result.outputs[i];
    TFLS_ASSIGN_OR_RETURN(std::span<const std::byte> bytes, arena_of(tensor).Read(tensor.offset, tensor.bytes));
    if (tensor.offset % kTensorAlignment != 0)
      return InternalError(fmt::format("output {} lies at {}, no multiple of {}", i, tensor.offset, kTensorAlignment));
    if (tensor.dtype == DType::kString) {
      // Where nobody can change them any more after they have been checked.
      AlignedBuffer& copy = strings.emplace_back();
      if (bytes.size() > kMaxTensorBytes || !copy.Resize(bytes.size())) return ResourceExhaustedError("no memory for the strings of an output");
      std::ranges::copy(bytes, copy.data());
      bytes = copy.bytes();
    }
    outputs.push_back({tensor.dtype, tensor.shape, bytes});
    TFLS_RETURN_IF_ERROR(CheckOutput(signature.outputs[i], outputs.back()));
  }
  return OkStatus();
}

Status PythonWorker::End(const Status& why) {
  queue_.Forget(event_.get());
  is_ready_ = false;
  pid_ = 0;
  if (process_ == nullptr) return why;
  // Either it has closed its socket, and is ending, or it is ended.
  const bool by_itself = why.code() == StatusCode::kUnavailable && !process_->Receive().ok();
  const std::string how = process_->End(by_itself);
  LogOutput(true);
  process_.reset();
  if (by_itself) return UnavailableError(fmt::format("the servable's worker ended ({})", how));
  last_line_.clear();
  return why;
}

Status PythonWorker::WithLastLine(const Status& end) const {
  return last_line_.empty() ? end : Status(end.code(), fmt::format("{}: {}", end.message(), last_line_));
}

void PythonWorker::Pause(const Status& end) {
  if (stopping_) return;
  ++failures_;
  ++num_restarts_;
  const int doublings = std::clamp(failures_ - 2, 0, kMaxDoublings);
  const milliseconds pause = failures_ == 1 ? milliseconds(0) : std::min(options_.first_pause * (1 << doublings), options_.longest_pause);
  std::string when = "at once";
  Status health;
  if (pause.count() > 0) {
    when = fmt::format("after {:.1f} s", std::chrono::duration<double>(pause).count());
    health = UnavailableError(
        fmt::format("worker {} has ended {} times without an answer, and is started again {}: {}", number_, failures_, when, end.message()));
  }
  TFLS_WARNING("{} worker {}: {}; it is started again {}", id_.ToString(), number_, WithLastLine(end).ToString(), when);
  SetHealth(health, Now() + pause);
  // Others may serve what waits; without any it is not known how long that would be.
  if (!health.ok() && options_.num_workers == 1) queue_.FailAll(health);
}

void PythonWorker::Sleep(TimePoint until) {
  std::array<pollfd, 3> entries = {pollfd{.fd = event_.get(), .events = POLLIN, .revents = 0},
                                   pollfd{.fd = process_ == nullptr ? -1 : process_->socket(), .events = POLLIN, .revents = 0},
                                   pollfd{.fd = process_ == nullptr ? -1 : process_->output(), .events = POLLIN, .revents = 0}};
  ::poll(entries.data(), entries.size(), PollTimeout(until));
  eventfd_t count = 0;
  ::eventfd_read(event_.get(), &count);
}

void PythonWorker::LogOutput(bool all) {
  std::vector<std::string> lines = process_->ReadOutput();
  if (std::string last = all ? process_->TakeLastLine() : ""; !last.empty()) lines.push_back(std::move(last));
  for (std::string& line : lines) {
    TFLS_INFO("{} worker {}: {}", id_.ToString(), number_, line);
    last_line_ = std::move(line);
  }
}

}  // namespace tflite_serving
