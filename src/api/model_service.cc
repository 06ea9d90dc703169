#include "api/model_service.h"

#include <algorithm>

#include <fmt/format.h>

#include "api/grpc_message.h"
#include "api/request_task.h"
#include "servable/model_config.h"
#include "telemetry/log.h"
#include "tensorflow_serving/apis/model_management.pb.h"

namespace tflite_serving {

std::vector<GrpcMethod> ModelService::methods() {
  return {{"/tensorflow.serving.ModelService/GetModelStatus", [this](GrpcCall& call) { GetModelStatus(call); }},
          {"/tensorflow.serving.ModelService/HandleReloadConfigRequest", [this](GrpcCall& call) { HandleReloadConfigRequest(call); }}};
}

void ModelService::GetModelStatus(GrpcCall& call) {
  tensorflow::serving::GetModelStatusRequest request;
  const Status parsed = ParseMessage(call, request);
  const StatusOr<tensorflow::serving::GetModelStatusResponse> response = parsed.ok() ? StatusOf(request) : parsed;
  ReportCall(observers_, call, ApiMethod::kStatus, request.model_spec().name(), response.status().code(),
             response.ok() ? response->ByteSizeLong() : 0);
  if (!response.ok()) return call.Finish(response.status());
  FinishWithMessage(call, *response);
}

StatusOr<tensorflow::serving::GetModelStatusResponse> ModelService::StatusOf(const tensorflow::serving::GetModelStatusRequest& request) const {
  if (!request.has_model_spec()) return InvalidArgumentError("Missing ModelSpec");
  const ModelSpec spec = FromProto(request.model_spec());  // its label is ignored, as the original does

  const std::vector<VersionStatus> statuses = servables_.GetVersionStatuses(spec.name);
  if (statuses.empty()) return NotFoundError(fmt::format("Could not find any versions of model {}", spec.name));
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
    return NotFoundError(fmt::format("Could not find version {} of model {}", spec.version.value_or(0), spec.name));
  }
  return response;
}

void ModelService::HandleReloadConfigRequest(GrpcCall& call) {
  const bool here = call.request_size_bytes() <= kMaxInlineBodyBytes;
  const Status started = RunHereOrOnWorker(here, workers_, {}, nullptr, [this, &call] { ReloadConfigOnThisThread(call); });
  if (started.ok()) return;
  ReportCall(observers_, call, ApiMethod::kReload, {}, started.code(), 0);
  call.Finish(started);
}

void ModelService::ReloadConfigOnThisThread(GrpcCall& call) {
  const auto finish = [this, &call](const Status& status, const tensorflow::serving::ReloadConfigResponse& response) {
    ReportCall(observers_, call, ApiMethod::kReload, {}, status.code(), status.ok() ? response.ByteSizeLong() : 0);
    if (status.ok()) return FinishWithMessage(call, response);
    TFLS_ERROR("ReloadConfig failed: {}", status.ToString());
    call.Finish(status);
  };
  tensorflow::serving::ReloadConfigRequest request;
  if (const Status status = ParseMessage(call, request, kMaxModelServerConfigBytes); !status.ok()) return finish(status, {});
  if (!request.config().has_model_config_list()) {
    return finish(
        InvalidArgumentError("ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"), {});
  }
  std::vector<std::string> names(request.metric_names().begin(), request.metric_names().end());
  std::vector<std::optional<int64_t>> before;
  if (!names.empty()) before = counters_(names);
  reload_(request.config(), [this, finish, names = std::move(names), before = std::move(before)](const Status& status) {
    tensorflow::serving::ReloadConfigResponse response;
    response.mutable_status();
    if (names.empty() || !status.ok()) return finish(status, response);
    const std::vector<std::optional<int64_t>> after = counters_(names);
    for (size_t i = 0; i < names.size(); ++i) {
      if (!after[i]) continue;
      tensorflow::serving::Metric& metric = *response.add_metric();
      metric.set_name(names[i]);
      metric.set_int64_value_increase(std::max<int64_t>(*after[i] - before[i].value_or(0), 0));
    }
    finish(status, response);
  });
}

}  // namespace tflite_serving
