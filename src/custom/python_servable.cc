#include "custom/python_servable.h"

#include <algorithm>
#include <utility>

#include "custom/python_worker.h"

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
  const bool is_up = std::ranges::any_of(workers_, &PythonWorker::is_up);
  const Status status = is_up ? queue_->Push(task) : health();
  if (!status.ok()) task.Fail(status);
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
