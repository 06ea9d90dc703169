// Runs of a loaded model on made-up inputs, against the clock: for `inspect` and `bench`.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "base/status.h"
#include "runtime/litert_servable.h"
#include "runtime/timed_runs.h"

namespace tflite_serving {

// Whether requests may bring any number of rows.
bool TakesAnyRows(const Signature& signature);

// Inputs for a run of `rows` rows (1 where TakesAnyRows is false), with sizes for other open dimensions that the model takes, found by running it;
// random content. The error of the last try if it takes none.
StatusOr<std::vector<Tensor>> MakeInputs(LiteRtServable& servable, size_t signature, int64_t rows);

// TimeRuns of signature number `signature` on `inputs`. A run's time includes the wait for an interpreter.
StatusOr<RunTimes> MeasureRuns(LiteRtServable& servable, size_t signature, const std::vector<Tensor>& inputs, int num_callers,
                               std::chrono::nanoseconds time);

// "850 ns", "12.3 us", "4.56 ms", "1.20 s"
std::string TimeText(std::chrono::nanoseconds time);
// "640 bytes", "12.3 KiB", "4.56 MiB"
std::string BytesText(size_t bytes);

}  // namespace tflite_serving
