#include "custom/python_servable.h"

#include <algorithm>
#include <string>
#include <utility>

#include "custom/python_worker.h"
#include "telemetry/metrics.h"

namespace tflite_serving {

PythonServable::PythonServable(ServableId id, const PythonServableOptions& options)
    : id_(std::move(id)), queue_(std::make_unique<CustomTaskQueue>(options.num_workers, options.max_wait)) {
  for (int i = 0; i < options.num_workers; ++i) workers_.push_back(std::make_unique<PythonWorker>(id_, i, options, *queue_));
}

PythonServable::~PythonServable() {
  // All at the same time: each may take a while.
  for (const std::unique_ptr<PythonWorker>& worker : workers_) worker->Stop();
}

StatusOr<std::unique_ptr<PythonServable>> PythonServable::Create(ServableId id, const PythonServableOptions& options) {
  std::unique_ptr<PythonServable> servable(new PythonServable(std::move(id), options));
  for (const std::unique_ptr<PythonWorker>& worker : servable->workers_) {
    TFLS_ASSIGN_OR_RETURN(WorkerReady ready, worker->WaitUntilLoaded(options.stop));
    servable->takes_json_ = !ready.takes_tensors;
    servable->batchable_ = ready.batchable;
    servable->signatures_ = std::move(ready.signatures);
  }
  return servable;
}

void PythonServable::Run(const RunRequest& request, RunDone done) {
  Submit({.request = request, .done = std::move(done), .signature_number = static_cast<uint32_t>(request.signature - signatures_.data())});
}

void PythonServable::RunJson(const JsonRunRequest& request, JsonRunDone done) { Submit({.request = request, .done = std::move(done)}); }

void PythonServable::Submit(CustomTask task) {
  if (RunTimeline* times = task.times()) times->given = Clock::Steady().Now();
  const bool is_up = std::ranges::any_of(workers_, &PythonWorker::is_up);
  const Status status = is_up ? queue_->Push(task) : health();
  if (!status.ok()) task.Fail(status);
}

void PythonServable::Collect(MetricsPage& page) const {
  const std::string version = std::to_string(id_.version);
  uint64_t num_restarts = 0;
  for (const std::unique_ptr<PythonWorker>& worker : workers_) num_restarts += worker->num_restarts();
  page.Add(metrics::kWorkerProcesses, {id_.name, version}, static_cast<double>(std::ranges::count_if(workers_, &PythonWorker::is_ready)));
  page.Add(metrics::kWorkerRestarts, {id_.name, version}, static_cast<double>(num_restarts));
  page.Add(metrics::kCustomQueueDepth, {id_.name, version}, static_cast<double>(queue_->size()));
  page.Add(metrics::kCustomRejected, {id_.name, version}, static_cast<double>(queue_->num_refused()));
}

size_t PythonServable::memory_bytes() const {
  size_t bytes = 0;
  for (const std::unique_ptr<PythonWorker>& worker : workers_) bytes += worker->memory_bytes();
  return bytes;
}

Status PythonServable::health() const {
  for (const std::unique_ptr<PythonWorker>& worker : workers_) TFLS_RETURN_IF_ERROR(worker->health());
  return OkStatus();
}

}  // namespace tflite_serving
