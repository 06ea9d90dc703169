// How custom servables are started: with what the flags and their own configuration say.
#pragma once

#include <string>

#include "base/cancellation.h"
#include "base/status.h"
#include "config/server_options.h"
#include "custom/python_servable.h"
#include "servable/model_config.h"
#include "servable/model_spec.h"

namespace tflite_serving {

// The options of version `id`, whose directory is `path`.
PythonServableOptions PythonOptionsOf(const ServerOptions& options, const ServableId& id, const std::string& path, const CustomModel& model);

// PythonServable::Create with them; what went wrong names the module.
StatusOr<std::unique_ptr<PythonServable>> LoadCustomModel(const ServerOptions& options, const ServableId& id, const std::string& path,
                                                          const CustomModel& model, const Cancellation& stop);

}  // namespace tflite_serving
