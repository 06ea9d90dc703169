#include "api/model_service.h"

#include <fmt/format.h>

#include "api/grpc_message.h"
#include "tensorflow_serving/apis/get_model_status.pb.h"

namespace tflite_serving {

std::vector<GrpcMethod> ModelService::methods() {
  return {{"/tensorflow.serving.ModelService/GetModelStatus", [this](GrpcCall& call) { GetModelStatus(call); }}};
}

void ModelService::GetModelStatus(GrpcCall& call) {
  tensorflow::serving::GetModelStatusRequest request;
  if (const Status status = ParseMessage(call, request); !status.ok()) return call.Finish(status);
  if (!request.has_model_spec()) return call.Finish(InvalidArgumentError("Missing ModelSpec"));
  const ModelSpec spec = FromProto(request.model_spec());  // its label is ignored, as the original does

  const std::vector<VersionStatus> statuses = servables_.GetVersionStatuses(spec.name);
  if (statuses.empty()) return call.Finish(NotFoundError(fmt::format("Could not find any versions of model {}", spec.name)));
  tensorflow::serving::GetModelStatusResponse response;
  for (const VersionStatus& status : statuses) {
    if (spec.version && *spec.version != status.version) continue;
    tensorflow::serving::ModelVersionStatus& row = *response.add_model_version_status();
    row.set_version(status.version);
    row.set_state(static_cast<tensorflow::serving::ModelVersionStatus::State>(status.state));
    row.mutable_status()->set_error_code(static_cast<tensorflow::error::Code>(status.status.code()));
    row.mutable_status()->set_error_message(status.status.message());
  }
  if (response.model_version_status().empty()) {
    return call.Finish(NotFoundError(fmt::format("Could not find version {} of model {}", spec.version.value_or(0), spec.name)));
  }
  FinishWithMessage(call, response);
}

}  // namespace tflite_serving
