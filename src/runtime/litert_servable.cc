#include "runtime/litert_servable.h"

#include <algorithm>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/sealed_file.h"
#include "base/thread.h"
#include "base/usable_cpus.h"
#include "runtime/batch_probe.h"
#include "runtime/operator_profile.h"
#include "runtime/sample_inputs.h"
#include "runtime/warm_up.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

// What a load may spend on warming interpreters beyond the first, which is always warmed. A slow model on a machine of many cores would otherwise
// take minutes to load; the interpreters left over warm up with their first request.
constexpr std::chrono::seconds kWarmUpTime{2};

constexpr int kMeasuredRuns = 3;

size_t TotalBytes(std::span<const TensorView> tensors) {
  size_t total = 0;
  for (const TensorView& tensor : tensors) total += tensor.bytes.size();
  return total;
}

bool IsAuto(const RuntimeOptions& options) { return options.num_interpreters == 0 && options.threads_per_interpreter == 0; }

bool KeepsState(const Model& model, const RuntimeOptions& options) { return options.keep_state && model.graph().has_state; }

ParallelismChoice Choose(const Model& model, const RuntimeOptions& options, const ParallelismTrial& trial) {
  const int threads = std::max(options.threads_per_interpreter, 1);
  if (KeepsState(model, options)) return {{.interpreters = 1, .threads = threads}, "with the model's state"};
  if (IsAuto(options)) return ChooseParallelism(trial);
  const int interpreters = options.num_interpreters > 0 ? options.num_interpreters : std::max(UsableCpus() / threads, 1);
  return {{.interpreters = interpreters, .threads = threads}, "as configured"};
}

StatusOr<std::vector<std::unique_ptr<Interpreter>>> NewInterpreters(const Model& model, const RuntimeOptions& options, const Parallelism& parallelism,
                                                                    const Clock& clock) {
  const bool one_state = KeepsState(model, options);
  const TimePoint warm_until = clock.Now() + kWarmUpTime;
  std::vector<std::unique_ptr<Interpreter>> interpreters;
  const InterpreterOptions each{.num_threads = parallelism.threads, .keep_state = options.keep_state, .clock = &clock};
  for (int i = 0; i < parallelism.interpreters; ++i) {
    TFLS_ASSIGN_OR_RETURN(std::unique_ptr<Interpreter> interpreter, Interpreter::Create(model, each));
    // With kept state the first request must find it untouched.
    if (one_state) {
      TFLS_ASSIGN_OR_RETURN(const std::unique_ptr<Interpreter> scratch, Interpreter::Create(model, each));
      TFLS_RETURN_IF_ERROR(WarmUp(model, *scratch));
    } else if (i == 0 || clock.Now() < warm_until) {
      TFLS_RETURN_IF_ERROR(WarmUp(model, *interpreter));
    }
    interpreters.push_back(std::move(interpreter));
  }
  return interpreters;
}

StatusOr<TrialReport> Try(const std::string& path, const SealedFile& file, const RuntimeOptions& options, int cpus) {
  TrialLimits limits = options.trial_limits;
  limits.cpus = IsAuto(options) ? cpus : 1;
  // What a library does is not known by its path.
  KnownTrials* const known_trials = options.custom_op_libraries.empty() ? options.known_trials : nullptr;
  if (known_trials != nullptr) {
    std::optional<TrialReport> known = known_trials->Find(path, file.bytes());
    // One that did not measure will do only where nothing depends on it.
    if (known && (known->parallelism.cpus == limits.cpus || limits.cpus == 1)) return *std::move(known);
  }
  TFLS_ASSIGN_OR_RETURN(TrialReport report, TryModel(options.trial_program, path, file, limits, options.stop, options.custom_op_libraries));
  if (known_trials != nullptr) known_trials->Add(path, file.bytes(), report);
  return report;
}

// The libraries only now: the trial has shown that they can be loaded.
StatusOr<std::unique_ptr<Model>> OpenModel(const std::string& path, std::unique_ptr<SealedFile> file, std::span<const std::string> paths) {
  const StatusOr<OperatorLibraries> libraries = OperatorLibraries::Open(paths);
  if (!libraries.ok()) return Status(libraries.status().code(), fmt::format("{}: {}", path, libraries.status().message()));
  return Model::Open(path, std::move(file), *libraries);
}

}  // namespace

StatusOr<std::unique_ptr<LiteRtServable>> LiteRtServable::Create(ServableId id, const std::string& path, const RuntimeOptions& options,
                                                                 const Clock& clock) {
  TFLS_ASSIGN_OR_RETURN(std::unique_ptr<SealedFile> file, SealedFile::Copy(path, kMaxModelBytes));
  const int cpus = UsableCpus();
  TrialReport trial;
  trial.parallelism.cpus = cpus;
  if (!options.trial_program.empty()) {
    TFLS_ASSIGN_OR_RETURN(trial, Try(path, *file, options, cpus));
  }
  TFLS_ASSIGN_OR_RETURN(std::unique_ptr<Model> model, OpenModel(path, std::move(file), options.custom_op_libraries));
  ParallelismChoice parallelism = Choose(*model, options, trial.parallelism);
  if (options.niceness > 0 && parallelism.parallelism.threads == 1) StepBack(options.niceness);
  TFLS_ASSIGN_OR_RETURN(std::vector<std::unique_ptr<Interpreter>> interpreters, NewInterpreters(*model, options, parallelism.parallelism, clock));
  if (options.trial_program.empty()) {
    for (size_t i = 0; i < model->graph().signatures.size(); ++i) trial.rows.push_back(TryRows(*model, i));
  }
  trial.rows.resize(model->graph().signatures.size());
  std::unique_ptr<LiteRtServable> servable(new LiteRtServable(std::move(id), std::move(trial), std::move(parallelism), std::move(model),
                                                              std::move(interpreters), options.run_counters, clock));
  servable->MeasureRuns();
  TFLS_DEBUG("{}: {} signatures, {} interpreters, {} bytes of packed weights, {} bytes in all", path, servable->signatures_.size(),
             servable->pool_.size(), servable->model_->WeightCacheBytes(), servable->memory_bytes());
  return servable;
}

LiteRtServable::LiteRtServable(ServableId id, TrialReport trial, ParallelismChoice parallelism, std::unique_ptr<Model> model,
                               std::vector<std::unique_ptr<Interpreter>> interpreters, RunCounters* run_counters, const Clock& clock)
    : id_(std::move(id)),
      trial_(std::move(trial)),
      parallelism_(std::move(parallelism)),
      run_counters_(run_counters),
      clock_(clock),
      model_(std::move(model)),
      estimates_(model_->graph().signatures.size()),
      pool_(std::move(interpreters)) {
  for (size_t i = 0; i < model_->graph().signatures.size(); ++i) {
    Signature& signature = signatures_.emplace_back(model_->graph().signatures[i].signature);
    signature.batch_of_one_is_free = FixesBatchOfOne(signature) && trial_.rows[i].alike;
  }
  memory_bytes_ = model_->FileBytes() + model_->WeightCacheBytes() + pool_.size() * trial_.interpreter_bytes;
}

std::string_view LiteRtServable::WhyNotBatchable(size_t number) const {
  const Signature& signature = signatures_[number];
  if (model_->graph().has_state) return "the model has state";
  if (signature.runs_alone) return "the size of an output depends on the data";
  if (!HasRows(model_->graph().signatures[number].signature)) return "the first dimensions are not all open, nor all 1";
  if (!trial_.rows[number].alike) return "rows answered together differ, or cannot be";
  return {};
}

void LiteRtServable::MeasureRuns() {
  if (!MayRunInline()) return;  // never inline: no estimate is needed
  for (size_t number = 0; number < signatures_.size(); ++number) {
    const StatusOr<std::vector<Tensor>> inputs = ZeroInputs(model_->graph().signatures[number], 1);
    if (!inputs.ok()) continue;
    const std::vector<TensorView> views = ViewsOf(*inputs);
    // A failure leaves the estimate open until a request brings sizes that the graph takes.
    for (int i = 0; i < kMeasuredRuns; ++i) {
      Run({.signature = &signatures_[number], .inputs = views}, [](const Status&, std::span<const TensorView>) {});
    }
  }
}

void LiteRtServable::Run(const RunRequest& request, RunDone done) {
  StatusOr<InterpreterPool::Lease> lease = pool_.WaitForLease(request.deadline);
  if (!lease.ok()) {
    done(lease.status(), {});
    return;
  }
  const auto number = static_cast<size_t>(request.signature - signatures_.data());
  const TimePoint start = clock_.Now();
  const StatusOr<std::span<const TensorView>> outputs = (*lease)->Run(number, request.inputs, request.deadline, request.cancellation);
  const TimePoint end = clock_.Now();
  if (request.times != nullptr) *request.times = {.given = request.times->given, .began = start, .ended = end};
  if (run_counters_ != nullptr) run_counters_->Count(end - start);
  if (!outputs.ok()) {
    done(outputs.status(), {});
    return;
  }
  estimates_[number].Record(end - start, TotalBytes(request.inputs));
  done(OkStatus(), *outputs);
}

Status LiteRtServable::RunOnEach(size_t signature, std::span<const TensorView> inputs) {
  std::vector<InterpreterPool::Lease> all;
  while (all.size() < pool_.size()) {
    TFLS_ASSIGN_OR_RETURN(InterpreterPool::Lease lease, pool_.WaitForLease(kNoDeadline));
    all.push_back(std::move(lease));
  }
  std::vector<Status> ends(all.size());
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < all.size(); ++i) {
      threads.push_back(StartThread("model_load", [&, i] {
        const TimePoint start = clock_.Now();
        ends[i] = all[i]->Run(signature, inputs, kNoDeadline).status();
        if (run_counters_ != nullptr) run_counters_->Count(clock_.Now() - start);
      }));
    }
  }
  const auto failed = std::ranges::find_if_not(ends, &Status::ok);
  return failed == ends.end() ? OkStatus() : *failed;
}

StatusOr<ModelProfile> LiteRtServable::Profile(const ProfileRequest& request) {
  const Signature* const signature = FindSignature(signatures_, request.signature_name);
  if (signature == nullptr) {
    return InvalidArgumentError(fmt::format("Serving signature name: \"{}\" not found in signature def",
                                            request.signature_name.empty() ? kDefaultSignatureKey : request.signature_name));
  }
  const auto number = static_cast<size_t>(signature - signatures_.data());
  TFLS_ASSIGN_OR_RETURN(ModelProfile profile, ProfileOperators(*model_, number, parallelism_.parallelism.threads, request, clock_));
  profile.id = id_;
  return profile;
}

bool LiteRtServable::MayRunInline() const {
  const ModelGraph& graph = model_->graph();
  return !graph.has_control_flow && !graph.has_state && graph.library_operators.empty();
}

bool LiteRtServable::RunsInline(size_t request_bytes) const {
  if (!MayRunInline()) return false;
  if (request_bytes > kInlineRequestBytes || !pool_.HasFree()) return false;
  return std::ranges::all_of(estimates_, [&](const RunEstimate& estimate) {
    const auto expected = estimate.Expected(request_bytes);
    return expected && *expected <= kInlineTime;
  });
}

}  // namespace tflite_serving
