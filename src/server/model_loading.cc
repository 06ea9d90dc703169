#include "server/model_loading.h"

#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "api/warm_up_requests.h"
#include "base/thread.h"
#include "base/usable_cpus.h"
#include "runtime/litert_servable.h"
#include "server/custom_models.h"
#include "telemetry/log.h"

namespace tflite_serving {

namespace {

// As the defaults are to each other: time by the clock is ample.
TrialLimits TrialLimitsOf(const ServerOptions& options) {
  const std::chrono::seconds cpu_time(options.trial_cpu_seconds);
  return {.cpu_time = cpu_time, .time = 10 * cpu_time};
}

StatusOr<ServableHandle> LoadCustom(const ServerOptions& options, const ServableId& id, const std::string& path, const CustomModel& model,
                                    int warm_up_iterations, BatchedModels* batched, const Cancellation& stop) {
  TFLS_ASSIGN_OR_RETURN(std::unique_ptr<PythonServable> servable, LoadCustomModel(options, id, path, model, stop));
  if (warm_up_iterations > 0) TFLS_RETURN_IF_ERROR(ReplayWarmupRequests(*servable, path, warm_up_iterations, stop));
  if (batched != nullptr) return batched->Batch(std::move(servable), path);
  return ServableHandle(std::move(servable));
}

}  // namespace

int NumWorkers(const ServerOptions& options) { return std::max(UsableCpus(), static_cast<int>(options.num_tflite_pools)); }

ModelLoaders MakeLoaders(const ServerOptions& options, BatchedModels* batched) {
  const RuntimeOptions runtime{.num_interpreters = options.num_tflite_pools,
                               .threads_per_interpreter = options.tensorflow_intra_op_parallelism,
                               .keep_state = options.keep_state,
                               .trial_program = "/proc/self/exe",
                               .trial_limits = TrialLimitsOf(options)};
  const int warm_up_iterations = options.enable_model_warmup ? std::max(options.num_request_iterations_for_warmup, 1) : 0;
  const std::shared_ptr<KnownTrials> known = MemoryBudgetBytes(options) == 0 ? nullptr : std::make_shared<KnownTrials>();
  const auto load = [=](const ServableId& id, const std::string& path, const LoadOptions& own, const Cancellation& stop,
                        bool is_first) -> StatusOr<ServableHandle> {
    if (own.custom) return LoadCustom(options, id, path, *own.custom, warm_up_iterations, batched, stop);
    RuntimeOptions options_of_model = runtime;
    if (own.tflite.num_interpreters > 0) options_of_model.num_interpreters = own.tflite.num_interpreters;
    if (own.tflite.threads_per_interpreter > 0) options_of_model.threads_per_interpreter = own.tflite.threads_per_interpreter;
    options_of_model.niceness = is_first ? kTrialNiceness : 0;
    options_of_model.stop = &stop;
    options_of_model.known_trials = known.get();
    TFLS_ASSIGN_OR_RETURN(std::unique_ptr<LiteRtServable> servable, LiteRtServable::Create(id, path, options_of_model));
    TFLS_LOG(is_first ? LogLevel::kInfo : LogLevel::kDebug, "{}: {}", id.ToString(), servable->parallelism().ToString());
    const std::string directory = std::filesystem::path(path).parent_path().string();
    if (warm_up_iterations > 0) TFLS_RETURN_IF_ERROR(ReplayWarmupRequests(*servable, directory, warm_up_iterations, stop));
    if (batched != nullptr) return batched->Batch(std::move(servable), directory);
    return ServableHandle(std::move(servable));
  };
  return {.load =
              [load](const ServableId& id, const std::string& path, const LoadOptions& own, const Cancellation& stop) {
                StatusOr<ServableHandle> servable = CancelledError("not loaded");
                // Of its own, since a thread that has stepped back cannot come forward for the next model.
                StartThread("model_load", [&] { servable = load(id, path, own, stop, true); }).join();
                return servable;
              },
          .reload = [load](const ServableId& id, const std::string& path, const LoadOptions& own,
                           const Cancellation& stop) { return load(id, path, own, stop, false); }};
}

size_t MemoryBudgetBytes(const ServerOptions& options) { return static_cast<size_t>(options.model_memory_budget_mb) << 20; }

ManagerOptions LifecycleOptions(const ServerOptions& options) {
  return {.rules = {.max_load_retries = options.max_num_load_retries,
                    .load_retry_interval = std::chrono::microseconds(options.load_retry_interval_micros),
                    .resource_preserving = options.unload_before_load},
          // What is loaded for the first time comes on top of a memory budget: not several models at once.
          .num_load_threads = options.num_load_threads > 0         ? options.num_load_threads
                              : options.model_memory_budget_mb > 0 ? 1
                                                                   : UsableCpus(),
          .custom_modules_are_watched = options.reload_custom_on_change};
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) TFLS_WARNING("cannot raise the limit of open files to {}", limit.rlim_max);
}

void ReturnLargeMemory() {
  // glibc would raise the size from which it maps memory apart to that of whatever was freed last, and from then on keep such memory in its heaps,
  // where one small object behind it holds it. 128 KiB, its first, would map every larger request anew.
  constexpr int kMappedBytes = 4 << 20;
  ::mallopt(M_MMAP_THRESHOLD, kMappedBytes);      // NOLINT(concurrency-mt-unsafe): there is one thread yet
  ::mallopt(M_TRIM_THRESHOLD, 2 * kMappedBytes);  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace tflite_serving
