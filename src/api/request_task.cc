#include "api/request_task.h"

#include <utility>

namespace tflite_serving {

bool RunsHere(const StatusOr<ServableHandle>& servable, size_t request_bytes) {
  return servable.ok() ? (*servable)->RunsInline(request_bytes) : request_bytes <= kMaxInlineBodyBytes;
}

Status RunHereOrOnWorker(bool here, WorkerPool& workers, std::function<void()> work) {
  if (here) {
    work();
    return OkStatus();
  }
  return workers.TrySubmit(work) ? OkStatus() : UnavailableError("too many requests are waiting; try again later");
}

void FreeLargeInputs(std::vector<Tensor>& inputs) {
  size_t size = 0;
  for (const Tensor& input : inputs) size += input.view().bytes.size();
  if (size > kMaxKeptInputBytes) inputs.clear();
}

}  // namespace tflite_serving
