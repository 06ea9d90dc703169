#include "server/batched_models.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <ranges>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/usable_cpus.h"
#include "base/usable_memory.h"
#include "batching/batching_servable.h"
#include "config/batching_parameters_file.h"
#include "runtime/sample_inputs.h"
#include "server/measured_run.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;

constexpr std::string_view kDefaultThreadPoolName = "model_server_batch_threads";  // the original's, where no file names one

// For one signature; no size larger than the one that took the time is tried.
constexpr std::chrono::milliseconds kMeasuringTime{300};
constexpr int kRunsOfASize = 3;
constexpr int64_t kMaxMeasuredRows = 256;

// For one signature: what its interpreters may take to be sized, of time and of the memory there is.
constexpr nanoseconds kSizingTime = std::chrono::seconds(2);
constexpr size_t kSizingMemoryShare = 4;

std::vector<int64_t> SizesToMeasure(const BatchingParameters& parameters) {
  const int64_t most = std::min(MaxRowsOfRun(parameters), kMaxMeasuredRows);
  std::vector<int64_t> sizes = parameters.allowed_batch_sizes;
  std::erase_if(sizes, [most](int64_t rows) { return rows > most; });
  if (sizes.empty()) {
    for (int64_t rows = 1; rows <= most; rows *= 2) sizes.push_back(rows);
  }
  return sizes;
}

struct MeasuredSize {
  int64_t rows;
  nanoseconds time;
};

// So that its first large batch has an interpreter ask for no memory. Of the allowed sizes the largest for which there is time and plenty of memory.
void SizeInterpreters(LiteRtServable& servable, size_t number, const BatchingParameters& parameters, const MeasuredSize& measured) {
  if (parameters.allowed_batch_sizes.empty()) return;
  std::vector<int64_t> sizes = parameters.allowed_batch_sizes;
  const int64_t most = MaxRowsOfRun(parameters);
  std::erase_if(sizes, [most](int64_t rows) { return rows >= most; });
  sizes.push_back(most);
  // One to find inputs, and then all interpreters, as many at a time as there are cores.
  const int64_t runs = 1 + (static_cast<int64_t>(servable.num_interpreters()) + UsableCpus() - 1) / UsableCpus();
  const size_t bytes_of_row = std::max<size_t>(servable.num_interpreters() * servable.trial().interpreter_bytes, 1);
  const int64_t affordable = std::min(kSizingTime / runs * measured.rows / std::max<nanoseconds>(measured.time, nanoseconds(1)),
                                      static_cast<int64_t>(UsableMemoryBytes() / kSizingMemoryShare / bytes_of_row));
  const auto size = std::ranges::find_if(sizes | std::views::reverse, [affordable](int64_t rows) { return rows <= affordable; });
  if (size == sizes.rend()) return;
  const StatusOr<std::vector<Tensor>> inputs = MakeInputs(servable, number, *size);
  const Status status = inputs.ok() ? servable.RunOnEach(number, ViewsOf(*inputs)) : inputs.status();
  if (status.ok()) return;
  TFLS_WARNING("{}: signature \"{}\" could not be run with {} rows, an allowed batch size: {}", servable.id().ToString(),
               servable.signatures()[number].key, *size, status.message());
}

// The best of a few runs; nothing if the model refuses made-up inputs.
std::optional<nanoseconds> MeasureSize(LiteRtServable& servable, size_t number, int64_t rows) {
  const StatusOr<std::vector<Tensor>> inputs = MakeInputs(servable, number, rows);
  if (!inputs.ok()) return std::nullopt;
  const std::vector<TensorView> views = ViewsOf(*inputs);
  nanoseconds best = nanoseconds::max();
  Status failure;
  for (int i = 0; i < kRunsOfASize && failure.ok(); ++i) {
    const auto start = std::chrono::steady_clock::now();
    servable.Run({.signature = &servable.signatures()[number], .inputs = views},
                 [&failure](const Status& status, std::span<const TensorView>) { failure = status; });
    best = std::min<nanoseconds>(best, std::chrono::steady_clock::now() - start);
  }
  return failure.ok() ? std::optional(best) : std::nullopt;
}

}  // namespace

StatusOr<std::optional<BatchingParameters>> ReadBatchingParameters(const ServerOptions& options) {
  std::optional<BatchingParameters> parameters;
  if (!options.enable_batching) return parameters;
  if (options.batching_parameters_file.empty()) {
    parameters = BatchingParameters{.thread_pool_name = std::string(kDefaultThreadPoolName)};
  } else {
    TFLS_ASSIGN_OR_RETURN(parameters, ReadBatchingParametersFile(options.batching_parameters_file));
  }
  return parameters;
}

BatchedModels::BatchedModels(const BatchingParameters& parameters, bool per_model, bool sizes_interpreters, nanoseconds max_wait)
    : parameters_(parameters),
      per_model_(per_model),
      sizes_interpreters_(sizes_interpreters),
      scheduler_("batch", parameters.num_batch_threads > 0 ? static_cast<int>(parameters.num_batch_threads) : UsableCpus(), max_wait) {}

StatusOr<std::optional<BatchingParameters>> BatchedModels::ParametersOf(const ServableId& id, const std::string& directory) const {
  if (!per_model_) return std::optional(parameters_);
  StatusOr<BatchingParameters> own = ReadBatchingParametersFile((std::filesystem::path(directory) / kVersionFile).string());
  if (own.status().code() == StatusCode::kNotFound) {
    TFLS_INFO("{} is not batched: it has no {}", id.ToString(), kVersionFile);
    return std::optional<BatchingParameters>();
  }
  TFLS_RETURN_IF_ERROR(own.status());
  return std::optional(*std::move(own));
}

StatusOr<ServableHandle> BatchedModels::Batch(std::unique_ptr<PythonServable> servable, const std::string& directory) {
  if (servable->TakesJson() || !servable->batchable()) {
    TFLS_INFO("{} is not batched: it does not say that its rows may be put together", servable->id().ToString());
    return ServableHandle(std::move(servable));
  }
  TFLS_ASSIGN_OR_RETURN(const std::optional<BatchingParameters> parameters, ParametersOf(servable->id(), directory));
  if (!parameters) return ServableHandle(std::move(servable));
  const std::vector<bool> batches(servable->signatures().size(), true);
  const int num_workers = servable->num_workers();
  return ServableHandle(std::make_shared<BatchingServable>(std::move(servable), batches, *parameters, scheduler_, num_workers));
}

StatusOr<ServableHandle> BatchedModels::Batch(std::unique_ptr<PluginServable> servable, const std::string& directory) {
  std::vector<bool> batches;
  for (size_t number = 0; number < servable->signatures().size(); ++number) batches.push_back(servable->batchable(number));
  if (std::ranges::find(batches, true) == batches.end()) {
    TFLS_INFO("{} is not batched: it does not say that its rows are independent", servable->id().ToString());
    return ServableHandle(std::move(servable));
  }
  TFLS_ASSIGN_OR_RETURN(const std::optional<BatchingParameters> parameters, ParametersOf(servable->id(), directory));
  if (!parameters) return ServableHandle(std::move(servable));
  return ServableHandle(std::make_shared<BatchingServable>(std::move(servable), batches, *parameters, scheduler_));
}

StatusOr<ServableHandle> BatchedModels::Batch(std::unique_ptr<LiteRtServable> servable, const std::string& directory) {
  TFLS_ASSIGN_OR_RETURN(const std::optional<BatchingParameters> parameters, ParametersOf(servable->id(), directory));
  if (!parameters) return ServableHandle(std::move(servable));
  std::vector<bool> batches;
  for (size_t number = 0; number < servable->signatures().size(); ++number) {
    const std::string_view why = servable->WhyNotBatchable(number);
    batches.push_back(why.empty());
    if (!why.empty()) TFLS_INFO("{}: signature \"{}\" is not batched: {}", servable->id().ToString(), servable->signatures()[number].key, why);
  }
  if (std::ranges::find(batches, true) == batches.end()) return ServableHandle(std::move(servable));
  LiteRtServable& model = *servable;
  auto batched = std::make_shared<BatchingServable>(std::move(servable), batches, *parameters, scheduler_);
  for (size_t number = 0; number < batches.size(); ++number) {
    const auto until = std::chrono::steady_clock::now() + kMeasuringTime;
    std::optional<MeasuredSize> largest;
    for (const int64_t rows : SizesToMeasure(*parameters)) {
      if (!batches[number] || std::chrono::steady_clock::now() > until) break;
      const std::optional<nanoseconds> time = MeasureSize(model, number, rows);
      if (!time) continue;
      batched->RecordRun(number, rows, *time);
      largest = {.rows = rows, .time = *time};
    }
    if (largest && sizes_interpreters_) SizeInterpreters(model, number, *parameters, *largest);
  }
  return ServableHandle(std::move(batched));
}

}  // namespace tflite_serving
