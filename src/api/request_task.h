// What every inference request does on its way, whatever its protocol: it takes a task from a pool, runs where that is quickest, and leaves its
// memory to the next one. All functions are thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "api/request_record.h"
#include "base/status.h"
#include "base/worker_pool.h"
#include "servable/servable.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// Tasks that an endpoint keeps for requests to come.
inline constexpr size_t kMaxIdleTasks = 64;
// The input memory that one kept task may hold.
inline constexpr size_t kMaxKeptInputBytes = size_t{4} << 20;

// What is parsed on the thread that read it before it is known which model it is for, or that there is none.
inline constexpr size_t kMaxInlineBodyBytes = size_t{64} << 10;

// Whether a request of this size is quickest answered on the thread that read it: as the servable says; without one, as far as the fault is reported
// after those of its body, up to kMaxInlineBodyBytes.
bool RunsHere(const StatusOr<ServableHandle>& servable, size_t request_bytes);

// The flow in which the requests for a servable wait for a worker: its model's, so that models share the workers fairly. Those for none have one.
std::string_view FlowOf(const StatusOr<ServableHandle>& servable);

// How a request is refused for which there is no time.
Status TooManyRequests();

// Calls `work` on this thread if `here`, otherwise on a worker, in its flow: `work` then begins by telling `record`, if there is one, that it has
// started. UNAVAILABLE, and `work` is not called, when too many requests wait for one.
Status RunHereOrOnWorker(bool here, WorkerPool& workers, std::string_view flow, RequestRecord* record, std::function<void()> work);

// What a client says to switch something on: "1" or "true"; "0", "false" or nothing leave it off. `name` is for the message.
StatusOr<bool> ParseSwitch(std::string_view name, std::string_view text);

// The memory that a request's inputs take beside its own bytes, which few values that are repeated may make large.
size_t BytesBeside(std::span<const Tensor> inputs, size_t request_bytes);

// To be called with a task's inputs before the task goes back to its pool: frees them if they hold more than kMaxKeptInputBytes.
void FreeLargeInputs(std::vector<Tensor>& inputs);

}  // namespace tflite_serving
