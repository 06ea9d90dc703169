#include "server/measured_run.h"

#include <random>

#include <fmt/format.h>

#include "runtime/sample_inputs.h"

namespace tflite_serving {
namespace {

constexpr unsigned kSeed = 8;

Status RunOnce(LiteRtServable& servable, size_t signature, std::span<const TensorView> views) {
  Status status;
  servable.Run({.signature = &servable.signatures()[signature], .inputs = views},
               [&](const Status& end, std::span<const TensorView> /*outputs*/) { status = end; });
  return status;
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
  return TimeRuns(num_callers, time, [&](int /*caller*/) { return RunOnce(servable, signature, views); });
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
