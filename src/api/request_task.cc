#include "api/request_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tflite_serving {

bool RunsHere(const StatusOr<ServableHandle>& servable, size_t request_bytes) {
  return servable.ok() ? (*servable)->RunsInline(request_bytes) : request_bytes <= kMaxInlineBodyBytes;
}

std::string_view FlowOf(const StatusOr<ServableHandle>& servable) { return servable.ok() ? std::string_view((*servable)->id().name) : ""; }

Status TooManyRequests() { return UnavailableError("too many requests are waiting; try again later"); }

Status RunHereOrOnWorker(bool here, WorkerPool& workers, std::string_view flow, RequestRecord* record, std::function<void()> work) {
  if (here) {
    work();
    return OkStatus();
  }
  if (record != nullptr) record->Queued();
  if (workers.TrySubmit(work, flow)) return OkStatus();
  if (record != nullptr) record->Rejected();
  return TooManyRequests();
}

size_t BytesBeside(std::span<const Tensor> inputs, size_t request_bytes) {
  size_t bytes = 0;
  for (const Tensor& input : inputs) bytes += input.view().bytes.size();
  return bytes - std::min(bytes, request_bytes);
}

void FreeLargeInputs(std::vector<Tensor>& inputs) {
  size_t size = 0;
  for (const Tensor& input : inputs) size += input.view().bytes.size();
  if (size > kMaxKeptInputBytes) inputs.clear();
}

StatusOr<bool> ParseSwitch(std::string_view name, std::string_view text) {
  if (text == "1" || text == "true") return true;
  if (text.empty() || text == "0" || text == "false") return false;
  return InvalidArgumentError(fmt::format("{}: expected 1 or 0, got \"{}\"", name, text));
}

}  // namespace tflite_serving
