// What every inference request does on its way, whatever its protocol: it takes a task from a pool, runs where that is quickest, and leaves its
// memory to the next one. All functions are thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "base/status.h"
#include "base/worker_pool.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// Tasks that an endpoint keeps for requests to come.
inline constexpr size_t kMaxIdleTasks = 64;
// The input memory that one kept task may hold.
inline constexpr size_t kMaxKeptInputBytes = size_t{4} << 20;

// Calls `work` on this thread if `here`, otherwise on a worker. UNAVAILABLE, and `work` is not called, when too many requests wait for one.
Status RunHereOrOnWorker(bool here, WorkerPool& workers, std::function<void()> work);

// To be called with a task's inputs before the task goes back to its pool: frees them if they hold more than kMaxKeptInputBytes.
void FreeLargeInputs(std::vector<Tensor>& inputs);

}  // namespace tflite_serving
