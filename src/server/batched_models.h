// How --enable_batching and its files become batched servables.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "batching/batch_scheduler.h"
#include "config/server_options.h"
#include "custom/plugin_servable.h"
#include "custom/python_servable.h"
#include "runtime/litert_servable.h"
#include "servable/batching_parameters.h"
#include "servable/servable.h"

namespace tflite_serving {

// The parameters of --batching_parameters_file, or without a file the original's defaults; nothing without --enable_batching. Errors: those of
// ReadBatchingParametersFile.
StatusOr<std::optional<BatchingParameters>> ReadBatchingParameters(const ServerOptions& options);

// Of one server. Thread-safe.
class BatchedModels {
 public:
  // With --enable_per_model_batching_parameters (`per_model`) each version says itself how it is batched, in this file beside its model, and one
  // without it is not.
  static constexpr std::string_view kVersionFile = "batching_params.pbtxt";

  // `max_wait`: BatchScheduler's. `sizes_interpreters`: whether they shall have the memory for batches before these come.
  BatchedModels(const BatchingParameters& parameters, bool per_model, bool sizes_interpreters, std::chrono::nanoseconds max_wait);

  // `servable`, of the version in `directory`, with those of its signatures batched that can be; which cannot is logged. Measures first what runs of
  // different sizes take, for kMeasuringTime at most, and where sizes are allowed, runs the largest on each interpreter, for kSizingTime at most.
  // Borrows this object. Errors: those of a version's own file.
  StatusOr<ServableHandle> Batch(std::unique_ptr<LiteRtServable> servable, const std::string& directory);

  // The same, without measuring, of a servable in Python: all its signatures, if it says that its rows may be put together.
  StatusOr<ServableHandle> Batch(std::unique_ptr<PythonServable> servable, const std::string& directory);

  // The same of a plug-in: those of its signatures whose rows it calls independent.
  StatusOr<ServableHandle> Batch(std::unique_ptr<PluginServable> servable, const std::string& directory);

  const BatchScheduler& scheduler() const { return scheduler_; }
  const std::string& thread_pool_name() const { return parameters_.thread_pool_name; }

  // Runs what is queued, and joins.
  void Stop() { scheduler_.Stop(); }

 private:
  // Those of the version in `directory`; nothing if it is not to be batched, which is logged.
  StatusOr<std::optional<BatchingParameters>> ParametersOf(const ServableId& id, const std::string& directory) const;

  const BatchingParameters parameters_;
  const bool per_model_;
  const bool sizes_interpreters_;
  BatchScheduler scheduler_;
};

}  // namespace tflite_serving
