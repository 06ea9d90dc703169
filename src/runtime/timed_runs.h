// The same call again and again against the clock, from several threads: what a model's runs take.
#pragma once

#include <chrono>
#include <functional>

#include "base/status.h"

namespace tflite_serving {

struct RunTimes {
  std::chrono::nanoseconds median{0};
  std::chrono::nanoseconds p99{0};
  double runs_per_second = 0;
  // The share of their time that the callers had a core: 1 on an idle machine. What threads of a run's own did is not in it.
  double core_share = 0;
};

// Has `num_callers` threads ("bench") call `run` with their number, one call after the other, for `time` in all, in several tries of one call at
// least, of which the first is always made; the times of the best one. The error of a run that failed.
StatusOr<RunTimes> TimeRuns(int num_callers, std::chrono::nanoseconds time, const std::function<Status(int caller)>& run);

}  // namespace tflite_serving
