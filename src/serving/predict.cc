#include "serving/predict.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

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

}  // namespace

void Predict(Servable& servable, const Signature& signature, std::span<const Tensor> inputs, std::vector<TensorView>& views, TimePoint deadline,
             const Clock& clock, RunDone done) {
  if (clock.Now() >= deadline) return done(DeadlineExceededError("the deadline passed before the request could be run"), {});
  views.clear();
  for (const Tensor& input : inputs) views.push_back(input.view());
  if (const Status status = CheckInputs(signature, views); !status.ok()) return done(status, {});
  if (const auto nothing = AnswerWithoutRows(signature, views)) return done(OkStatus(), *nothing);
  servable.Run({.signature = &signature, .inputs = views, .deadline = deadline}, std::move(done));
}

}  // namespace tflite_serving
