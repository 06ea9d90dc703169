// Measures how a model is best run on several cores: see parallelism.h for what is chosen of it.
#pragma once

#include <chrono>
#include <functional>

#include "runtime/model.h"
#include "runtime/parallelism.h"

namespace tflite_serving {

// For all candidates together. A model that makes kMeasuredRuns in less takes less.
inline constexpr std::chrono::milliseconds kMeasuringTime{200};
inline constexpr int kMeasuredRuns = 200;
// How often DefaultParallelism is measured until nothing disturbs it (kUndisturbed): other models may be loading, which goes by. The others are left
// out if something always does.
inline constexpr int kMeasuringAttempts = 3;
// What a slow model may take, of which each caller makes a run or two for each candidate: the rest of the candidates is left out then.
inline constexpr std::chrono::milliseconds kLongestMeasuring{5000};

// Measures runs of the slowest signature, on one random row, with each of ParallelismCandidates(cpus); the interpreters are compiled for it and, as
// in a server, kept from candidate to candidate. DefaultParallelism is measured again after its fewer ones, and the better figure counts: it takes
// more than a slow moment to be found wanting. Nothing is measured on one core, for a fast model (kInlineTime), and for one with state, whose
// interpreters are made anew for each run. Not if made-up inputs are refused either. Calls `wait_for_turn` first if there is something to measure.
ParallelismTrial TryParallelism(const Model& model, int cpus, const std::function<void()>& wait_for_turn = [] {});

}  // namespace tflite_serving
