// How models become servables; the server says with what, the manager when.
#pragma once

#include <functional>
#include <string>

#include "base/cancellation.h"
#include "base/status.h"
#include "servable/model_config.h"
#include "servable/servable.h"

namespace tflite_serving {

// Makes a servable from the model at `path`, to be run as `options` say. Called on a loading thread without any lock held, possibly for a long time;
// it should give up once `stop` is set.
using ServableLoader =
    std::function<StatusOr<ServableHandle>(const ServableId& id, const std::string& path, const LoadOptions& options, const Cancellation& stop)>;

}  // namespace tflite_serving
