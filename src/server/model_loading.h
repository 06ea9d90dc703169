// How this process loads models by its flags: what a server and a dry run (dry_run.h) do alike.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/server_options.h"
#include "lifecycle/manager.h"
#include "server/batched_models.h"
#include "storage/remote_models.h"

namespace tflite_serving {

// Runs that the workers must be able to have at the same time, of all models together.
int NumWorkers(const ServerOptions& options);

// The paths in --custom_op_library.
std::vector<std::string> LibraryPaths(std::string_view list);

// Load a model as a LiteRtServable, with the flags' interpreters and threads where its own options say nothing, replay its warm-up requests, and have
// it batched by `batched`; null: it is not. `run_counters`: RuntimeOptions'.
struct ModelLoaders {
  ServableLoader load;    // tries it first, in a process of its own; at low priority
  ServableLoader reload;  // for requests that wait for it (MemoryBudgetOptions): tries only what `load` has not
};
ModelLoaders MakeLoaders(const ServerOptions& options, BatchedModels* batched, RunCounters* run_counters = nullptr);

// --model_cache_dir and what else is said of models from object storage.
RemoteModelsOptions RemoteOptions(const ServerOptions& options);

// Without a memory budget.
ManagerOptions LifecycleOptions(const ServerOptions& options, RemoteFiles* remote);

// --model_memory_budget_mb; 0: none.
size_t MemoryBudgetBytes(const ServerOptions& options);

// Connections and loaded models need descriptors: takes as many as the system lets this process have. What it cannot raise is a warning.
void RaiseDescriptorLimit();

// Has the allocator give the memory of large tensors back to the system when a model is unloaded. To be called before there are threads.
void ReturnLargeMemory();

}  // namespace tflite_serving
