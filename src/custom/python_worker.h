// One worker of a Python servable and the thread that does everything with it: starts it, hands it one request after the other, watches what it
// takes, logs what it prints, and starts it again when it has ended.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "custom/custom_task.h"
#include "custom/python_servable.h"
#include "custom/worker_process.h"
#include "custom/worker_protocol.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// Thread-safe.
class PythonWorker {
 public:
  // Starts the thread; `queue` is borrowed. `number` tells it from the others of the same servable.
  PythonWorker(const ServableId& id, int number, const PythonServableOptions& options, CustomTaskQueue& queue);
  // Stops it, and waits.
  ~PythonWorker() { Stop(); }
  PythonWorker(const PythonWorker&) = delete;
  PythonWorker& operator=(const PythonWorker&) = delete;

  // Lets the worker finish what it runs and unload; returns before that is over.
  void Stop();

  // Waits until it is ready for the first time, or could not be. `stop`: null or see PythonServableOptions.
  StatusOr<WorkerReady> WaitUntilLoaded(const Cancellation* stop);

  // Whether it runs, or will at once.
  bool is_up() const;
  // Why it does not; OK otherwise.
  Status health() const;
  size_t memory_bytes() const;
  // Whether its process has loaded the servable and lives.
  bool is_ready() const { return is_ready_; }
  // Processes that have ended, each of which was or will be followed by another.
  uint64_t num_restarts() const { return num_restarts_; }

 private:
  // How long a request may last, and what becomes of its answer.
  struct Exchange {
    TimePoint limit;
    const CustomTask* task = nullptr;  // null: a load, which nobody may give up but the server
    bool answered = false;
  };

  void Work();
  TimePoint NextStart() const;
  void TellLoaded(StatusOr<WorkerReady> loaded);
  // Starts a process and loads the servable in it.
  Status Start();
  void Serve(const CustomTask& task);
  // Puts a task's input into the arena; the frame that tells of it.
  StatusOr<std::string> FrameOf(const CustomTask& task);
  // Waits for the reply to what was sent, and watches over the process. An error is the end of the process, here and below.
  StatusOr<WorkerReply> Await(Exchange& exchange);
  Status Look(Exchange& exchange);
  Status Answer(Exchange& exchange, const WorkerReply& reply);
  // The servable failed a request: it has to be seen in the log without its output, which is logged as information.
  void LogFailure(const Status& status) const;
  // Views into the arenas, and into `strings`; checked.
  Status ReadOutputs(const WorkerResult& result, const Signature& signature, std::vector<TensorView>& outputs, std::vector<AlignedBuffer>& strings);
  // The process has ended, or is ended, for this reason; what became of it, in words for everyone: without what it printed.
  Status End(const Status& why);
  // The same with the last line that it printed, if it ended by itself: for the log, and for whoever's load or request it was.
  Status WithLastLine(const Status& end) const;
  // When it is to be started again. `end`: End's.
  void Pause(const Status& end);
  // Waits for a task, for something from the process, or until `until`.
  void Sleep(TimePoint until);
  // With `all`, a line that is not ended yet too.
  void LogOutput(bool all);
  void SetHealth(Status health, TimePoint next_start);

  const ServableId id_;
  const int number_;
  const PythonServableOptions options_;
  CustomTaskQueue& queue_;
  const UniqueFd event_;  // signalled when there is a task, or it is time to stop

  // Of the thread alone.
  std::unique_ptr<WorkerProcess> process_;
  std::optional<WorkerReady> ready_;  // of the first load
  uint64_t last_id_ = 0;
  int failures_ = 0;       // ends in a row without an answer
  std::string last_line_;  // that was printed since the load or the request in hand began; empty: none

  std::atomic<pid_t> pid_ = 0;
  std::atomic<bool> is_ready_ = false;
  std::atomic<uint64_t> num_restarts_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable Mutex mutex_;
  CondVar loaded_;
  std::optional<StatusOr<WorkerReady>> first_load_ TFLS_GUARDED_BY(mutex_);
  Status health_ TFLS_GUARDED_BY(mutex_);
  TimePoint next_start_ TFLS_GUARDED_BY(mutex_){};
  std::jthread thread_;  // last: it uses the members above
};

}  // namespace tflite_serving
