// `tflite_model_server inspect FILE`: what a .tflite file is, for a person.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "runtime/litert_servable.h"

namespace tflite_serving {

// The description of a loaded model: signatures with their inputs and outputs, whether their rows may share a run, what one run takes (measured here,
// on zeros), operators, and memory. Several lines, each ended.
std::string DescribeModel(LiteRtServable& servable);

// Tries the file in a process of its own (`trial_program` and `custom_op_libraries` as in RuntimeOptions), loads it as a server would by default, and
// describes it. Errors: LiteRtServable::Create.
StatusOr<std::string> InspectFile(const std::string& path, const std::string& trial_program, const std::vector<std::string>& custom_op_libraries);

}  // namespace tflite_serving
