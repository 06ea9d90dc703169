// The first runs of a model, before requests come: they tell whether it can run at all, and touch the memory that requests will use.
#pragma once

#include <vector>

#include "base/status.h"
#include "runtime/interpreter.h"
#include "runtime/model.h"

namespace tflite_serving {

// Runs every signature of `model` once, on zeros, with dimensions left open set to 1 (or, where the graph does not take that, to a larger size).
// An error if a signature cannot run: it lacks an operator, or has no open dimension and still fails. A signature with open dimensions that takes
// none of the sizes tried may yet take those that requests bring: that is logged, and no error.
// `interpreter` is one of `model`'s; it is fit for use afterwards.
Status WarmUp(const Model& model, Interpreter& interpreter);

}  // namespace tflite_serving
