// Configurations, as text and as a message: whatever the bytes are, reading them ends with models that keep the rules or with a reason, which names
// the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include <google/protobuf/stubs/logging.h>

#include "config/model_server_config.h"
#include "tensorflow_serving/config/model_server_config.pb.h"

namespace {

using tflite_serving::ModelConfig;
using tflite_serving::ModelConfigList;
using tflite_serving::StatusCode;
using tflite_serving::StatusOr;
using tflite_serving::VersionPolicy;

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckModels(const StatusOr<ModelConfigList>& models) {
  if (!models.ok()) {
    Require(models.status().code() == StatusCode::kInvalidArgument || models.status().code() == StatusCode::kUnimplemented);
    return;
  }
  if (!models->has_value()) return;
  std::set<std::string_view> names;
  for (const ModelConfig& model : **models) {
    Require(!model.name.empty() && names.insert(model.name).second);
    Require(model.base_path.starts_with('/') || model.base_path.find("://") != std::string::npos);
    Require(model.version_policy.num_versions >= 1);
    Require(model.version_policy.kind == VersionPolicy::Kind::kSpecific || model.version_policy.versions.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const StatusOr<ModelConfigList> models = tflite_serving::ParseModelServerConfigText(bytes, "FILE");
  CheckModels(models);
  Require(models.ok() || models.status().message().find("'FILE'") != std::string::npos);

  const google::protobuf::LogSilencer silencer;
  tensorflow::serving::ModelServerConfig message;
  if (message.ParseFromArray(data, static_cast<int>(size))) CheckModels(tflite_serving::CheckModelServerConfig(message));
  return 0;
}
