// The REST answer about a model's operators; a table that a person can read as it comes: a row a line.
#pragma once

#include <string>

#include "servable/model_profile.h"

namespace tflite_serving {

// GET /v1/models/M/profile. Times are microseconds, with three decimals; shares are parts of the mean run. "other_us" is what a mean run takes
// outside of operators: checking and binding its tensors. A row's "operators" and "inside", as its "tensor", are left out where there is nothing to
// say, and "delegate" where none runs anything. Thread-safe.
std::string ModelProfileJson(const ModelProfile& profile);

}  // namespace tflite_serving
