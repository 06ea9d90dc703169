// How servables of users' own code are started: with what the flags and their own configuration say.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/cancellation.h"
#include "base/status.h"
#include "config/server_options.h"
#include "custom/plugin_servable.h"
#include "custom/python_servable.h"
#include "servable/model_config.h"
#include "servable/model_spec.h"

namespace tflite_serving {

// The options of version `id`, whose directory is `path`.
PythonServableOptions PythonOptionsOf(const ServerOptions& options, const ServableId& id, const std::string& path, const CustomModel& model);

// PythonServable::Create with them; what went wrong names the module.
StatusOr<std::unique_ptr<PythonServable>> LoadCustomModel(const ServerOptions& options, const ServableId& id, const std::string& path,
                                                          const CustomModel& model, const Cancellation& stop);

// PluginServable::Load, whose models `open_model` opens.
StatusOr<std::unique_ptr<PluginServable>> LoadPlugin(const ServableId& id, const std::string& path, const CustomModel& model,
                                                     const std::function<StatusOr<ServableHandle>(const std::string& path)>& open_model);

}  // namespace tflite_serving
