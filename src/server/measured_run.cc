#include "server/measured_run.h"

#include <algorithm>
#include <random>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/thread.h"
#include "runtime/sample_inputs.h"

namespace tflite_serving {
namespace {

constexpr unsigned kSeed = 8;
// The best of these counts: whatever else the machine does only makes a try slower.
constexpr int kTries = 5;
// Of each caller: what is kept for the quantiles. Runs of a microsecond for ten seconds.
constexpr size_t kMaxKeptTimes = 10'000'000;

using WallClock = std::chrono::steady_clock;

Status RunOnce(LiteRtServable& servable, size_t signature, std::span<const TensorView> views) {
  Status status;
  servable.Run({.signature = &servable.signatures()[signature], .inputs = views},
               [&](const Status& end, std::span<const TensorView> /*outputs*/) { status = end; });
  return status;
}

struct Caller {
  std::vector<std::chrono::nanoseconds> times;
  Status status;
};

void Call(LiteRtServable& servable, size_t signature, std::span<const TensorView> views, WallClock::time_point end, Caller& caller) {
  do {
    const WallClock::time_point start = WallClock::now();
    caller.status = RunOnce(servable, signature, views);
    caller.times.push_back(WallClock::now() - start);
  } while (caller.status.ok() && WallClock::now() < end && caller.times.size() < kMaxKeptTimes);
}

StatusOr<RunTimes> MeasureOnce(LiteRtServable& servable, size_t signature, std::span<const TensorView> views, int num_callers,
                               std::chrono::nanoseconds time) {
  std::vector<Caller> callers(static_cast<size_t>(num_callers));
  const WallClock::time_point start = WallClock::now();
  {
    std::vector<std::jthread> threads;
    for (Caller& caller : callers) {
      threads.push_back(StartThread("bench", [&] { Call(servable, signature, views, start + time, caller); }));
    }
  }
  const std::chrono::duration<double> seconds = WallClock::now() - start;
  std::vector<std::chrono::nanoseconds> times;
  for (Caller& caller : callers) {
    TFLS_RETURN_IF_ERROR(caller.status);
    times.insert(times.end(), caller.times.begin(), caller.times.end());
  }
  std::ranges::sort(times);
  return RunTimes{.median = times[times.size() / 2],
                  .p99 = times[times.size() * 99 / 100],
                  .runs_per_second = static_cast<double>(times.size()) / seconds.count()};
}

// Three digits that count.
std::string ThreeDigits(double number) { return fmt::format("{:.{}f}", number, number < 9.995 ? 2 : number < 99.95 ? 1 : 0); }

}  // namespace

bool TakesAnyRows(const Signature& signature) {
  for (size_t i = 0; i < signature.inputs.size(); ++i) {
    const Shape shape = signature.RequestShape(i);
    if (shape.rank() == 0 || shape[0] != -1) return false;
  }
  return !signature.inputs.empty();
}

StatusOr<std::vector<Tensor>> MakeInputs(LiteRtServable& servable, size_t signature, int64_t rows) {
  GraphSignature sized = servable.model().graph().signatures[signature];
  sized.signature = servable.signatures()[signature];
  const bool any_rows = TakesAnyRows(sized.signature);
  for (size_t i = 0; i < sized.signature.inputs.size(); ++i) sized.signature.inputs[i].shape = sized.signature.RequestShape(i);
  Status status;
  for (const int64_t open_dim : kOpenDims) {
    std::mt19937 random(kSeed);
    StatusOr<std::vector<Tensor>> inputs = RandomInputs(sized, servable.model().graph().words, any_rows ? rows : open_dim, open_dim, random);
    if (!inputs.ok()) return inputs.status();
    status = RunOnce(servable, signature, ViewsOf(*inputs));
    if (status.ok()) return inputs;
  }
  return status;
}

StatusOr<RunTimes> MeasureRuns(LiteRtServable& servable, size_t signature, const std::vector<Tensor>& inputs, int num_callers,
                               std::chrono::nanoseconds time) {
  const std::vector<TensorView> views = ViewsOf(inputs);
  RunTimes best;
  for (int i = 0; i < kTries; ++i) {
    TFLS_ASSIGN_OR_RETURN(const RunTimes times, MeasureOnce(servable, signature, views, num_callers, time / kTries));
    if (times.runs_per_second > best.runs_per_second) best = times;
  }
  return best;
}

std::string TimeText(std::chrono::nanoseconds time) {
  const auto ns = static_cast<double>(time.count());
  if (ns < 1e3) return fmt::format("{} ns", time.count());
  if (ns < 1e6) return ThreeDigits(ns / 1e3) + " us";
  if (ns < 1e9) return ThreeDigits(ns / 1e6) + " ms";
  return ThreeDigits(ns / 1e9) + " s";
}

std::string BytesText(size_t bytes) {
  const auto number = static_cast<double>(bytes);
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  if (bytes < size_t{1024} * 1024) return ThreeDigits(number / 1024) + " KiB";
  return ThreeDigits(number / (1024 * 1024)) + " MiB";
}

}  // namespace tflite_serving
