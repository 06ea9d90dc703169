// A servable in Python: one or more worker processes that run a user's class or function (python/tflite_serving), one request at a time each.
//
// What the user's code does to its process, it does to no other: a worker that ends, hangs or takes too much memory fails the request that it has,
// and is started again. One that goes on so is started again after longer and longer pauses (health() tells), in which requests are refused.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cancellation.h"
#include "base/status.h"
#include "custom/custom_task.h"
#include "custom/worker_process.h"
#include "servable/servable.h"

namespace tflite_serving {

struct PythonServableOptions {
  WorkerCommand command;
  std::vector<std::pair<std::string, std::string>> values;  // of the servable's config_obj; of two with one key the first counts
  int num_workers = 1;
  std::chrono::milliseconds load_timeout{120'000};
  std::chrono::milliseconds request_timeout{60'000};                    // a worker that takes longer is ended, whatever the request's own deadline
  size_t max_memory_bytes = 0;                                          // resident, of each worker; 0: no limit
  std::chrono::nanoseconds max_wait = std::chrono::nanoseconds::max();  // CustomTaskQueue's
  // Between a worker's end and its next start, if it has answered nothing since its last one: doubled from the first pause on.
  std::chrono::milliseconds first_pause{100};
  std::chrono::milliseconds longest_pause{30'000};
  const Cancellation* stop = nullptr;  // ends the load; null: nothing does
};

class PythonWorker;

// Thread-safe. Destruction waits for its workers, and must not happen on one of its own threads ("python_worker", one for each).
class PythonServable : public Servable {
 public:
  // Starts the workers and waits until all are ready. Errors: the user's code's own, as the worker reports them; UNAVAILABLE if a worker could not be
  // started or ended (which is tried again); DEADLINE_EXCEEDED after load_timeout; CANCELLED once `stop` is set.
  static StatusOr<std::unique_ptr<PythonServable>> Create(ServableId id, const PythonServableOptions& options);
  ~PythonServable() override;

  const ServableId& id() const override { return id_; }
  std::span<const Signature> signatures() const override { return signatures_; }
  bool TakesJson() const override { return takes_json_; }
  // Whether rows of several requests may share a run.
  bool batchable() const { return batchable_; }
  int num_workers() const { return static_cast<int>(workers_.size()); }

  // These return at once; `done` is called on a thread of this servable's. Errors beside the user's own: UNAVAILABLE if too many requests wait, the
  // worker ended or took too long, or none is there for now; RESOURCE_EXHAUSTED if it took too much memory; INTERNAL if it broke the protocol or
  // answered something else than its signature says; DEADLINE_EXCEEDED and CANCELLED.
  void Run(const RunRequest& request, RunDone done) override;
  void RunJson(const JsonRunRequest& request, JsonRunDone done) override;
  bool RunsInline(size_t) const override { return false; }

  // Of all workers at the moment.
  size_t memory_bytes() const override;
  void Collect(MetricsPage& page) const override;
  Status health() const override;

 private:
  PythonServable(ServableId id, const PythonServableOptions& options);
  void Submit(CustomTask task);

  const ServableId id_;
  const std::unique_ptr<CustomTaskQueue> queue_;
  std::vector<Signature> signatures_;
  bool takes_json_ = false;
  bool batchable_ = false;
  std::vector<std::unique_ptr<PythonWorker>> workers_;  // last: their threads use the members above
};

}  // namespace tflite_serving
