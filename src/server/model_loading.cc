#include "server/model_loading.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

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

RuntimeOptions RuntimeOptionsOf(const ServerOptions& options, RunCounters* run_counters) {
  return {.num_interpreters = options.num_tflite_pools,
          .threads_per_interpreter = options.tensorflow_intra_op_parallelism,
          .keep_state = options.keep_state,
          .trial_program = "/proc/self/exe",
          .trial_limits = TrialLimitsOf(options),
          .custom_op_libraries = LibraryPaths(options.custom_op_library),
          .run_counters = run_counters};
}

std::string CacheDirectory(const ServerOptions& options) {
  constexpr const char* kOfTheSystem = "/var/cache/tflite-serving";
  if (!options.model_cache_dir.empty()) return options.model_cache_dir;
  if (::access(kOfTheSystem, W_OK) == 0) return kOfTheSystem;
  std::error_code error;
  const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
  return (error ? "/tmp" : temporary) / fmt::format("tflite-serving-{}", ::geteuid());
}

// Loads one version at a time for each caller. Immutable, so thread-safe.
class ModelLoader {
 public:
  ModelLoader(const ServerOptions& options, BatchedModels* batched, RunCounters* run_counters)
      : options_(options),
        runtime_(RuntimeOptionsOf(options, run_counters)),
        warm_up_iterations_(options.enable_model_warmup ? std::max(options.num_request_iterations_for_warmup, 1) : 0),
        known_(MemoryBudgetBytes(options) == 0 ? nullptr : std::make_unique<KnownTrials>()),
        batched_(batched) {}

  StatusOr<ServableHandle> Load(const ServableId& id, const std::string& path, const LoadOptions& own, const Cancellation& stop,
                                bool is_first) const {
    RuntimeOptions runtime = runtime_;
    if (own.tflite.num_interpreters > 0) runtime.num_interpreters = own.tflite.num_interpreters;
    if (own.tflite.threads_per_interpreter > 0) runtime.threads_per_interpreter = own.tflite.threads_per_interpreter;
    const std::vector<std::string>& libraries = own.tflite.custom_op_libraries;
    runtime.custom_op_libraries.insert(runtime.custom_op_libraries.end(), libraries.begin(), libraries.end());
    runtime.stop = &stop;
    if (own.custom) return LoadCustom(id, path, *own.custom, runtime);
    runtime.niceness = is_first ? kTrialNiceness : 0;
    runtime.known_trials = known_.get();
    TFLS_ASSIGN_OR_RETURN(std::unique_ptr<LiteRtServable> servable, LiteRtServable::Create(id, path, runtime));
    TFLS_LOG(is_first ? LogLevel::kInfo : LogLevel::kDebug, "{}: {}", id.ToString(), servable->parallelism().ToString());
    return Finish(std::move(servable), std::filesystem::path(path).parent_path().string(), stop);
  }

 private:
  StatusOr<ServableHandle> LoadCustom(const ServableId& id, const std::string& path, const CustomModel& model, const RuntimeOptions& runtime) const {
    if (model.kind == CustomModel::Kind::kPython) {
      TFLS_ASSIGN_OR_RETURN(std::unique_ptr<PythonServable> servable, LoadCustomModel(options_, id, path, model, *runtime.stop));
      return Finish(std::move(servable), path, *runtime.stop);
    }
    const auto open_model = [&](const std::string& file) -> StatusOr<ServableHandle> {
      TFLS_ASSIGN_OR_RETURN(std::unique_ptr<LiteRtServable> servable, LiteRtServable::Create(id, file, runtime));
      TFLS_INFO("{}: {}: {}", id.ToString(), file, servable->parallelism().ToString());
      return ServableHandle(std::move(servable));
    };
    TFLS_ASSIGN_OR_RETURN(std::unique_ptr<PluginServable> servable, LoadPlugin(id, path, model, open_model));
    return Finish(std::move(servable), path, *runtime.stop);
  }

  // Warmed up, and batched if it can be.
  template <typename T>
  StatusOr<ServableHandle> Finish(std::unique_ptr<T> servable, const std::string& directory, const Cancellation& stop) const {
    if (warm_up_iterations_ > 0) TFLS_RETURN_IF_ERROR(ReplayWarmupRequests(*servable, directory, warm_up_iterations_, stop));
    if (batched_ != nullptr) return batched_->Batch(std::move(servable), directory);
    return ServableHandle(std::move(servable));
  }

  const ServerOptions options_;
  const RuntimeOptions runtime_;
  const int warm_up_iterations_;
  const std::unique_ptr<KnownTrials> known_;
  BatchedModels* const batched_;
};

}  // namespace

std::vector<std::string> LibraryPaths(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const std::string_view part = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), part.size() + 1));
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

int NumWorkers(const ServerOptions& options) { return std::max(UsableCpus(), static_cast<int>(options.num_tflite_pools)); }

ModelLoaders MakeLoaders(const ServerOptions& options, BatchedModels* batched, RunCounters* run_counters) {
  const auto loader = std::make_shared<const ModelLoader>(options, batched, run_counters);
  return {.load =
              [loader](const ServableId& id, const std::string& path, const LoadOptions& own, const Cancellation& stop) {
                StatusOr<ServableHandle> servable = CancelledError("not loaded");
                // Of its own, since a thread that has stepped back cannot come forward for the next model.
                StartThread("model_load", [&] { servable = loader->Load(id, path, own, stop, true); }).join();
                return servable;
              },
          .reload = [loader](const ServableId& id, const std::string& path, const LoadOptions& own,
                             const Cancellation& stop) { return loader->Load(id, path, own, stop, false); }};
}

size_t MemoryBudgetBytes(const ServerOptions& options) { return static_cast<size_t>(options.model_memory_budget_mb) << 20; }

RemoteModelsOptions RemoteOptions(const ServerOptions& options) {
  return {.cache = {.directory = CacheDirectory(options), .max_bytes = static_cast<uint64_t>(options.model_cache_max_mb) << 20},
          .look_interval = std::chrono::seconds(std::max(options.object_storage_poll_wait_seconds, 0))};
}

ManagerOptions LifecycleOptions(const ServerOptions& options, RemoteFiles* remote) {
  return {.rules = {.max_load_retries = options.max_num_load_retries,
                    .load_retry_interval = std::chrono::microseconds(options.load_retry_interval_micros),
                    .resource_preserving = options.unload_before_load},
          // What is loaded for the first time comes on top of a memory budget: not several models at once.
          .num_load_threads = options.num_load_threads > 0         ? options.num_load_threads
                              : options.model_memory_budget_mb > 0 ? 1
                                                                   : UsableCpus(),
          .custom_modules_are_watched = options.reload_custom_on_change,
          .remote = remote};
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
