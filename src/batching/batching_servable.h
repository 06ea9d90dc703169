// A servable whose requests share runs: those to one signature that wait at the same time become one batch, whose answer is taken apart again.
//
// A request that is alone reaches the servable as it is, without a copy. One whose batch fails is run again by itself, so that no request fails for
// another's sake.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "batching/batch_scheduler.h"
#include "servable/batching_parameters.h"
#include "servable/servable.h"

namespace tflite_serving {

// Thread-safe.
class BatchingServable : public Servable {
 public:
  // The largest request, in bytes, that is decoded on an I/O thread: queuing it takes no time.
  static constexpr size_t kInlineRequestBytes = size_t{16} << 10;

  // `batches[i]`: signature number i of `servable`, whose tensors have rows, is to be batched; others, and requests that it answers
  // inline, go straight to it. The parameters have passed Check. `scheduler` is borrowed and must outlive this object. `max_running_elsewhere`: 0,
  // or, of a servable whose Run returns at once, how many runs it has beside each other. This object must be kept until its last request is answered.
  BatchingServable(ServableHandle servable, const std::vector<bool>& batches, const BatchingParameters& parameters, BatchScheduler& scheduler,
                   int max_running_elsewhere = 0);

  const ServableId& id() const override { return servable_->id(); }
  std::span<const Signature> signatures() const override { return servable_->signatures(); }
  size_t memory_bytes() const override { return servable_->memory_bytes(); }
  Status health() const override { return servable_->health(); }
  size_t num_interpreters() const override { return servable_->num_interpreters(); }
  StatusOr<ModelProfile> Profile(const ProfileRequest& request) override { return servable_->Profile(request); }
  void Collect(MetricsPage& page) const override;

  // What a run of signature number `signature` took that was measured elsewhere; without effect for one that is not batched.
  void RecordRun(size_t signature, int64_t rows, std::chrono::nanoseconds time);

  // Beside the servable's own errors: INVALID_ARGUMENT for inputs that do not have the same rows, or more than max_batch_size; UNAVAILABLE when too
  // many batches wait; RESOURCE_EXHAUSTED when the deadline passed in the queue; all in the original's words.
  void Run(const RunRequest& request, RunDone done) override;
  // True also for small requests that are queued without waiting.
  bool RunsInline(size_t request_bytes) const override;

 private:
  const ServableHandle servable_;
  const BatchingParameters parameters_;
  BatchScheduler& scheduler_;
  const std::shared_ptr<Histogram> rows_;              // of runs
  std::vector<BatchScheduler::SourceHandle> sources_;  // by signature; null: not batched
};

}  // namespace tflite_serving
