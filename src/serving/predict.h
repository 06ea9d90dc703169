// Predict, as every protocol means it: the tensors are checked against the signature, then the servable runs them.
#pragma once

#include <span>
#include <vector>

#include "base/cancellation.h"
#include "base/clock.h"
#include "servable/servable.h"

namespace tflite_serving {

// All of it is borrowed, and must stay alive until `done` has been called.
struct PredictCall {
  Servable& servable;
  const Signature& signature;      // one of the servable's
  std::span<const Tensor> inputs;  // one for each signature input, in its order
  std::vector<TensorView>& views;  // scratch memory
  TimePoint deadline = kNoDeadline;
  const Cancellation* cancellation = nullptr;
  RunTimeline* times = nullptr;    // null: nobody asks
  bool check_method_name = false;  // --enable_signature_method_name_check: INTERNAL if the signature's method is none of the three known ones
};

// Checks `call.inputs` and runs the servable on them. `done` is called exactly once, here or later on another thread; what it sees is described at
// RunDone. A request of no rows is answered with no rows, without a run. One past its deadline is refused with DEADLINE_EXCEEDED and one whose
// client has gone with CANCELLED before anything runs.
void Predict(const PredictCall& call, const Clock& clock, RunDone done);

}  // namespace tflite_serving
