// A .tflite file as a servable: the whole of the runtime behind one interface.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "runtime/interpreter_pool.h"
#include "runtime/known_trials.h"
#include "runtime/model.h"
#include "runtime/model_trial.h"
#include "runtime/parallelism.h"
#include "runtime/run_estimate.h"
#include "servable/servable.h"
#include "telemetry/metrics.h"

namespace tflite_serving {

// The runs of interpreters, of all models together. Thread-safe.
struct RunCounters {
  Counter runs;
  Counter nanoseconds;  // of all of them

  void Count(std::chrono::nanoseconds time) {
    runs.Add();
    nanoseconds.Add(static_cast<uint64_t>(time.count()));
  }
};

struct RuntimeOptions {
  // Runs at the same time, and cores that one run may use. 0: not said; then the trial measures which is best (parallelism.h). Where one of both is
  // said, the other follows: 1 thread, or as many interpreters as there are cores for.
  int num_interpreters = 0;
  int threads_per_interpreter = 0;
  // Of the calling thread once the model has been tried (StepBack): a load takes the cores that requests leave over. Not if interpreters start
  // threads of their own, which would keep it.
  int niceness = 0;
  // Let a model's variables live on between requests. Such a model gets a single interpreter, so that there is one state.
  bool keep_state = false;
  // The program that tries models first (model_trial.h): "/proc/self/exe" in the server. Empty: no trial, for files that are known to be sound.
  std::string trial_program;
  TrialLimits trial_limits;
  std::vector<std::string> custom_op_libraries = {};  // shared libraries with operators that models may use
  const Cancellation* stop = nullptr;                 // ends the trial; null: nothing does
  KnownTrials* known_trials = nullptr;                // borrowed; what is in there is not tried again. Null: every model is tried
  RunCounters* run_counters = nullptr;                // borrowed; counts every run. Null: nothing does
};

// Thread-safe.
class LiteRtServable : public Servable {
 public:
  // A larger request does not belong onto an I/O thread: reading it alone takes kInlineTime.
  static constexpr size_t kInlineRequestBytes = 64 << 10;

  // Loads the file at `path`, compiles it for each interpreter and runs each signature once, so that the first request is as fast as the next.
  // Errors name the path: those of SealedFile::Copy, TryModel, ReadModelGraph and WarmUp.
  static StatusOr<std::unique_ptr<LiteRtServable>> Create(ServableId id, const std::string& path, const RuntimeOptions& options,
                                                          const Clock& clock = Clock::Steady());

  const ServableId& id() const override { return id_; }
  std::span<const Signature> signatures() const override { return signatures_; }

  // Runs on the calling thread, after waiting for a free interpreter. `done` is called while the interpreter is held.
  // DEADLINE_EXCEEDED: none became free in time, or the run was not over in time; it is then stopped at its next operator. Other errors:
  // Interpreter::Run.
  void Run(const RunRequest& request, RunDone done) override;

  // True if an interpreter is free and every signature is expected to answer within kInlineTime. Never for a model with control flow (its time
  // depends on the data), with state (an interpreter is compiled anew after each run) or with operators of libraries.
  bool RunsInline(size_t request_bytes) const override;

  // Runs signature number `signature` once on each interpreter, at the same time; they then have the memory that such a request takes. For a load:
  // not for two threads at once. Errors: one of Interpreter::Run.
  Status RunOnEach(size_t signature, std::span<const TensorView> inputs);

  // With interpreters of its own, as many threads as one of the others may use. Errors: ProfileOperators.
  StatusOr<ModelProfile> Profile(const ProfileRequest& request) override;

  const Model& model() const { return *model_; }

  const ParallelismChoice& parallelism() const { return parallelism_; }

  // What the trial found out; without one (trial_program) only its `rows`, which were then tried here.
  const TrialReport& trial() const { return trial_; }

  // Why requests to signature number `signature` must not share a run; empty if they may: at load, two random rows were answered together as alone,
  // but for the rounding of floats.
  std::string_view WhyNotBatchable(size_t signature) const;
  bool batchable(size_t signature) const { return WhyNotBatchable(signature).empty(); }

  // What this version takes while it is loaded, about: the file and its packed weights, once, and what each interpreter took in the trial on
  // inputs of the file's own size (nothing where there was none). Larger requests take more, and an interpreter keeps what its largest one took.
  size_t memory_bytes() const override { return memory_bytes_; }
  size_t num_interpreters() const override { return pool_.size(); }

 private:
  LiteRtServable(ServableId id, TrialReport trial, ParallelismChoice parallelism, std::unique_ptr<Model> model,
                 std::vector<std::unique_ptr<Interpreter>> interpreters, RunCounters* run_counters, const Clock& clock);
  bool MayRunInline() const;
  // Runs every signature again, now that memory is warm, for a first estimate.
  void MeasureRuns();

  const ServableId id_;
  const TrialReport trial_;
  const ParallelismChoice parallelism_;
  RunCounters* const run_counters_;
  const Clock& clock_;
  const std::unique_ptr<Model> model_;
  std::vector<Signature> signatures_;
  std::vector<RunEstimate> estimates_;  // by signature
  InterpreterPool pool_;                // its interpreters refer to the model
  size_t memory_bytes_ = 0;
};

}  // namespace tflite_serving
