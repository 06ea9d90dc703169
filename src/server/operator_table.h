// `tflite_model_server bench FILE --operators`: what each operator of a model takes, for a person.
#pragma once

#include <string>

#include "servable/model_profile.h"

namespace tflite_serving {

// The same as REST's /profile: a line about the runs and one about the delegate, then a row for each operator. Several lines, each ended.
std::string OperatorTable(const ModelProfile& profile);

}  // namespace tflite_serving
