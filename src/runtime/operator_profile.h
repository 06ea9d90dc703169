// What each operator of a model takes.
//
// The serving interpreters have no part in it. One of its own is run as they are, but for a look at the clock between operators: these are the times
// of operators and of whole partitions of a delegate. Then, in its place, one whose runs the runtime notes (profiler_events.h): that tells what stood
// between those looks, and what a delegate's kernels take. Noting makes runs slower, which would be much for a model of some microseconds.
#pragma once

#include "base/status.h"
#include "runtime/model.h"
#include "servable/model_profile.h"

namespace tflite_serving {

// The profile of the model's signature number `signature`, but for its `id`, on the calling thread and with inputs made as for `bench`. The request's
// signature_name is not looked at; `threads`: that one run may use. Variables live on from one of its runs to the next. Thread-safe.
// Errors: CheckProfileRuns, Interpreter::RunNoted. DEADLINE_EXCEEDED also if kMaxProfileTime is too short for one run of each kind.
StatusOr<ModelProfile> ProfileOperators(const Model& model, size_t signature, int threads, const ProfileRequest& request,
                                        const Clock& clock = Clock::Steady());

}  // namespace tflite_serving
