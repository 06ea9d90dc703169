// Which models to serve: the text of --model_config_file or the message of HandleReloadConfigRequest, checked, as ModelConfigs.
//
// The format is tensorflow.serving.ModelServerConfig (proto/tensorflow_serving/config/model_server_config.proto), in a file as protobuf text:
//
//   model_config_list {
//     config { name: "digits" base_path: "/models/digits" model_platform: "tensorflow" }
//   }
//
// The rules and texts are TensorFlow Serving's (server_core.cc), with these additions: model_platform may also be "tflite" or "litert", which mean
// the same runtime; tflite_options say how a model is run; model_type may also be a quoted word; "custom" is a servable in Python
// and "plugin" one in a shared library, which custom_model_config describes.
//
// All functions are thread-safe and write nothing to the log or to standard error. Errors, of which the first is reported:
//   INVALID_ARGUMENT     not of the format, or against a rule; the message names the model, or the line and column
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "servable/model_config.h"

namespace tensorflow::serving {
class ModelServerConfig;
}

namespace tflite_serving {

// These models and no others, in the order given; an empty list asks for none at all. Nothing if the configuration says nothing (an empty file),
// which changes nothing: "Taking no action for empty config."
using ModelConfigList = std::optional<std::vector<ModelConfig>>;

StatusOr<ModelConfigList> CheckModelServerConfig(const tensorflow::serving::ModelServerConfig& config);

// `file_name` is where the text came from, for errors.
StatusOr<ModelConfigList> ParseModelServerConfigText(std::string_view text, std::string_view file_name);

// Also RESOURCE_EXHAUSTED for more than kMaxModelServerConfigBytes; NOT_FOUND, which tells of COPY and mounts if this process runs in a container,
// and whatever else keeps the file from being read. Whether it is a container is seen from `root`, the root of the file system; tests have one of
// their own.
StatusOr<ModelConfigList> ReadModelServerConfigFile(const std::string& path, const std::string& root = "/");

}  // namespace tflite_serving
