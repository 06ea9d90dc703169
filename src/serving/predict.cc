#include "serving/predict.h"

#include <utility>

namespace tflite_serving {

void Predict(Servable& servable, const Signature& signature, std::span<const Tensor> inputs, std::vector<TensorView>& views, TimePoint deadline,
             const Clock& clock, RunDone done) {
  if (clock.Now() >= deadline) return done(DeadlineExceededError("the deadline passed before the request could be run"), {});
  views.clear();
  for (const Tensor& input : inputs) views.push_back(input.view());
  if (const Status status = CheckInputs(signature, views); !status.ok()) return done(status, {});
  servable.Run({.signature = &signature, .inputs = views, .deadline = deadline}, std::move(done));
}

}  // namespace tflite_serving
