#include "serving/predict.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

// A string tensor without strings: none, and the first would begin behind the header.
constexpr std::array<int32_t, 2> kNoStrings = {0, 8};

bool HasRows(const TensorSpec& spec) { return spec.shape.rank() > 0 && spec.shape[0] == -1; }

// The answer to a request of no rows, which LiteRT cannot run: no rows of each output. Nothing if the signature does not work by rows, or if the
// rest of an output's shape is not known beforehand.
std::optional<std::vector<TensorView>> AnswerWithoutRows(const Signature& signature, std::span<const TensorView> inputs) {
  const bool no_rows =
      !inputs.empty() && std::ranges::all_of(inputs, [](const TensorView& input) { return input.shape.rank() > 0 && input.shape[0] == 0; });
  if (!no_rows || !std::ranges::all_of(signature.inputs, HasRows) || !std::ranges::all_of(signature.outputs, HasRows)) return std::nullopt;
  std::vector<TensorView> outputs;
  for (const TensorSpec& output : signature.outputs) {
    Shape shape = output.shape;
    shape.set(0, 0);
    if (!shape.NumElements()) return std::nullopt;
    const bool strings = output.dtype == DType::kString;
    outputs.push_back({output.dtype, shape, strings ? std::as_bytes(std::span(kNoStrings)) : std::span<const std::byte>()});
  }
  return outputs;
}

Status CheckMethodName(std::string_view name) {
  if (name == kPredictMethodName || name == kClassifyMethodName || name == kRegressMethodName) return OkStatus();
  return InternalError(fmt::format("Expected prediction signature method_name to be one of {{{}, {}, {}}}. Was: {}", kPredictMethodName,
                                   kClassifyMethodName, kRegressMethodName, name));
}

}  // namespace

void Predict(const PredictCall& call, const Clock& clock, RunDone done) {
  const TimePoint now = clock.Now();
  if (call.times != nullptr) call.times->given = now;
  if (now >= call.deadline) return done(DeadlineExceededError("the deadline passed before the request could be run"), {});
  if (call.cancellation != nullptr && call.cancellation->cancelled())
    return done(CancelledError("the client went away before the request could be run"), {});
  if (call.check_method_name) {
    if (const Status status = CheckMethodName(call.signature.method_name); !status.ok()) return done(status, {});
  }
  call.views.clear();
  for (const Tensor& input : call.inputs) call.views.push_back(input.view());
  if (const Status status = CheckInputs(call.signature, call.views); !status.ok()) return done(status, {});
  if (const auto nothing = AnswerWithoutRows(call.signature, call.views)) return done(OkStatus(), *nothing);
  call.servable.Run(
      {.signature = &call.signature, .inputs = call.views, .deadline = call.deadline, .cancellation = call.cancellation, .times = call.times},
      std::move(done));
}

}  // namespace tflite_serving
