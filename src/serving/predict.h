// Predict, as every protocol means it: the tensors are checked against the signature, then the servable runs them.
#pragma once

#include <span>
#include <vector>

#include "base/clock.h"
#include "servable/servable.h"

namespace tflite_serving {

// Checks `inputs` (one for each signature input, in its order) and runs `servable` on them. `views` is the caller's scratch memory; like `inputs`
// and the servable it must stay alive until `done` has been called. `done` is called exactly once, here or later on another thread; what it sees
// is described at RunDone. A request of no rows is answered with no rows, without a run. One past its deadline is refused with DEADLINE_EXCEEDED
// before anything runs.
void Predict(Servable& servable, const Signature& signature, std::span<const Tensor> inputs, std::vector<TensorView>& views, TimePoint deadline,
             const Clock& clock, RunDone done);

}  // namespace tflite_serving
