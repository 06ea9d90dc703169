#include "runtime/parallelism_probe.h"

#include <algorithm>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "runtime/interpreter.h"
#include "runtime/sample_inputs.h"
#include "runtime/timed_runs.h"

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;

constexpr unsigned kSeed = 31;
constexpr int kFirstRuns = 3;

// A run of one signature.
struct Run {
  size_t signature = 0;
  std::vector<Tensor> inputs;
  nanoseconds time{0};  // 0: there is none that the model takes
};

Run RunOf(const Model& model, size_t number, Interpreter& interpreter, TimePoint deadline) {
  for (const int64_t open_dim : kOpenDims) {
    std::mt19937 random(kSeed);
    StatusOr<std::vector<Tensor>> inputs = RandomInputs(model.graph().signatures[number], model.graph().words, 1, open_dim, random);
    if (!inputs.ok()) return {};
    const std::vector<TensorView> views = ViewsOf(*inputs);
    nanoseconds best = nanoseconds::max();
    const TimePoint enough = Clock::Steady().Now() + kMeasuringTime / kMeasuredRuns;
    Status status;
    for (int i = 0; i == 0 || (i < kFirstRuns && status.ok() && Clock::Steady().Now() < enough); ++i) {
      const TimePoint start = Clock::Steady().Now();
      status = interpreter.Run(number, views, deadline).status();
      best = std::min<nanoseconds>(best, Clock::Steady().Now() - start);
    }
    if (status.ok()) return {.signature = number, .inputs = *std::move(inputs), .time = best};
  }
  return {};
}

Run SlowestRun(const Model& model, Interpreter& interpreter, TimePoint deadline) {
  Run slowest;
  for (size_t number = 0; number < model.graph().signatures.size(); ++number) {
    Run run = RunOf(model, number, interpreter, deadline);
    if (run.time > slowest.time) slowest = std::move(run);
  }
  return slowest;
}

}  // namespace

ParallelismTrial TryParallelism(const Model& model, int cpus, const std::function<void()>& wait_for_turn) {
  ParallelismTrial trial{.cpus = cpus, .one_run = {}, .measured = {}};
  if (cpus == 1 || model.graph().has_state) return trial;
  TimePoint deadline = Clock::Steady().Now() + kLongestMeasuring;
  std::vector<std::unique_ptr<Interpreter>> interpreters;
  const auto add = [&](int threads) -> Status {
    TFLS_ASSIGN_OR_RETURN(std::unique_ptr<Interpreter> interpreter, Interpreter::Create(model, {.num_threads = threads}));
    interpreters.push_back(std::move(interpreter));
    return OkStatus();
  };
  if (!add(1).ok()) return trial;
  const Run run = SlowestRun(model, *interpreters[0], deadline);
  trial.one_run = run.time;
  if (run.time <= kInlineTime) return trial;

  wait_for_turn();
  deadline = Clock::Steady().Now() + kLongestMeasuring;
  const std::vector<TensorView> views = ViewsOf(run.inputs);
  std::vector<Parallelism> candidates = ParallelismCandidates(cpus);
  candidates.insert(std::ranges::find_if(candidates, [](const Parallelism& one) { return one.threads > 1; }), candidates.front());
  const nanoseconds time_of_each = std::min<nanoseconds>(kMeasuringTime / candidates.size(), kMeasuredRuns * run.time);
  int threads = 1;
  for (const Parallelism& candidate : candidates) {
    if (std::exchange(threads, candidate.threads) != candidate.threads) interpreters.clear();
    const bool has_new = interpreters.size() < static_cast<size_t>(candidate.interpreters);
    while (interpreters.size() < static_cast<size_t>(candidate.interpreters)) {
      if (Clock::Steady().Now() > deadline || !add(threads).ok()) return trial;
    }
    const auto call = [&](int caller) { return interpreters[static_cast<size_t>(caller)]->Run(run.signature, views, deadline).status(); };
    // Once to touch their memory.
    if (has_new && !TimeRuns(candidate.interpreters, nanoseconds(0), call).ok()) return trial;
    StatusOr<RunTimes> times = TimeRuns(candidate.interpreters, time_of_each, call);
    const bool is_first = trial.measured.empty();
    for (int i = 1; is_first && i < kMeasuringAttempts && times.ok() && times->core_share < kUndisturbed; ++i) {
      times = TimeRuns(candidate.interpreters, time_of_each, call);
    }
    if (!times.ok()) return trial;
    if (!is_first && candidate == candidates.front()) {
      trial.measured.front().runs_per_second = std::max(trial.measured.front().runs_per_second, times->runs_per_second);
      continue;
    }
    trial.measured.push_back({candidate, times->runs_per_second, times->core_share});
    if (is_first && times->core_share < kUndisturbed) return trial;
  }
  return trial;
}

}  // namespace tflite_serving
