// How this process loads models by its flags: what a server and a dry run (dry_run.h) do alike.
#pragma once

#include "config/server_options.h"
#include "lifecycle/manager.h"

namespace tflite_serving {

// Of each loaded model.
int NumInterpreters(const ServerOptions& options);

// Tries a model in a process of its own, loads it as a LiteRtServable, and replays its warm-up requests.
ServableLoader MakeLoader(const ServerOptions& options);

ManagerOptions LifecycleOptions(const ServerOptions& options);

// Connections and loaded models need descriptors: takes as many as the system lets this process have. What it cannot raise is a warning.
void RaiseDescriptorLimit();

// Has the allocator give the memory of large tensors back to the system when a model is unloaded. To be called before there are threads.
void ReturnLargeMemory();

}  // namespace tflite_serving
