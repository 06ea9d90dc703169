#include "api/prediction_service.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "api/grpc_message.h"
#include "api/prediction_log.h"
#include "api/request_task.h"
#include "codec/json_bridge.h"
#include "serving/predict.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kSignatureDefField = "signature_def";
// Request metadata by which a client asks for floats in place of a quantised model's integers.
constexpr std::string_view kDequantizeKey = "x-dequantize";

void FillTensorInfo(const TensorSpec& spec, tensorflow::TensorInfo& info) {
  info.set_name(spec.tensor_name);
  info.set_dtype(static_cast<tensorflow::DataType>(spec.dtype));
  for (const int64_t dim : spec.shape.dims()) info.mutable_tensor_shape()->add_dim()->set_size(dim);
  info.mutable_tensor_shape();  // a scalar has a shape without dimensions, not none
}

tensorflow::serving::SignatureDefMap ToSignatureDefMap(std::span<const Signature> signatures) {
  tensorflow::serving::SignatureDefMap map;
  for (const Signature& signature : signatures) {
    tensorflow::SignatureDef& def = (*map.mutable_signature_def())[signature.key];
    for (const TensorSpec& input : signature.inputs) FillTensorInfo(input, (*def.mutable_inputs())[input.name]);
    for (const TensorSpec& output : signature.outputs) FillTensorInfo(output, (*def.mutable_outputs())[output.name]);
    def.set_method_name(signature.method_name);
  }
  return map;
}

}  // namespace

PredictionService::PredictionService(const ServableSource& servables, WorkerPool& workers, const Clock& clock, Options options)
    : servables_(servables), workers_(workers), clock_(clock), options_(options), tasks_(kMaxIdleTasks) {}

std::vector<GrpcMethod> PredictionService::methods() {
  return {{"/tensorflow.serving.PredictionService/Predict", [this](GrpcCall& call) { Predict(call); }},
          {"/tensorflow.serving.PredictionService/GetModelMetadata", [this](GrpcCall& call) { GetModelMetadata(call); }}};
}

void PredictionService::Predict(GrpcCall& call) {
  PredictTask* task = tasks_.Take().release();
  task->call = &call;
  task->signature = nullptr;
  task->record.Begin(options_.observers, call, ApiMethod::kPredict);
  if (const Status status = ParsePredictRequest(call.request(), task->parts); !status.ok()) return FinishPredict(task, status);
  task->record.SetModel(task->parts.model_spec.name);
  StatusOr<ServableHandle> servable = LookUp(servables_, task->parts.has_model_spec, task->parts.model_spec);
  if (!servable.ok()) return FinishPredict(task, servable.status());
  task->servable = *std::move(servable);
  task->record.SetVersion(task->servable->id().version);
  const bool run_here = task->servable->RunsInline(call.request_size_bytes());
  const Status started = RunHereOrOnWorker(run_here, workers_, FlowOf(task->servable), &task->record, [this, task] { RunPredict(task); });
  if (!started.ok()) FinishPredict(task, started);
}

void PredictionService::RunPredict(PredictTask* task) {
  task->record.Started();
  if (task->servable->TakesJson()) return RunJson(task);
  const ServableHandle keep = task->servable;  // until Run has returned, which is after the task is done
  const std::string_view signature_name = task->parts.model_spec.signature_name;
  const Signature* signature = FindSignature(task->servable->signatures(), signature_name);
  if (signature == nullptr) {
    const std::string_view key = signature_name.empty() ? kDefaultSignatureKey : signature_name;
    return FinishPredict(task, FailedPreconditionError(fmt::format("Serving signature key \"{}\" not found.", key)));
  }
  const StatusOr<bool> dequantize = ParseSwitch(kDequantizeKey, task->call->metadata(kDequantizeKey));
  if (!dequantize.ok()) return FinishPredict(task, dequantize.status());
  task->view.Begin(*dequantize);
  task->signature = task->view.See(signature);
  BorrowedContents contents;
  const Status decoded = DecodePredictInputs(task->parts, *task->signature, task->inputs, &contents);
  if (!decoded.ok()) return FinishPredict(task, decoded);
  if (const Status status = task->call->Hold(BytesBeside(task->inputs, task->call->request_size_bytes())); !status.ok())
    return FinishPredict(task, status);
  if (contents.largest.size() >= kMinBorrowedBytes) task->call->AlignNext(contents.largest.data());
  if (const Status status = task->view.QuantizeInputs(task->inputs); !status.ok()) return FinishPredict(task, status);
  const Status selected = SelectOutputs(*signature, task->parts.output_filter, task->selected_outputs);
  if (!selected.ok()) return FinishPredict(task, selected);
  tflite_serving::Predict({.servable = *task->servable,
                           .signature = *signature,
                           .inputs = task->inputs,
                           .views = task->views,
                           .deadline = task->call->deadline(),
                           .cancellation = &task->call->cancellation(),
                           .times = task->record.run_times(),
                           .check_method_name = options_.check_method_names},
                          clock_, [this, task](const Status& status, std::span<const TensorView> outputs) {
                            if (!status.ok()) return FinishPredict(task, status);
                            task->record.LogSample([&] { return PredictLogOf(task->servable->id(), *task->view.own(), task->views, outputs); });
                            FinishPredict(task, WriteReply(*task, outputs));
                          });
}

void PredictionService::RunJson(PredictTask* task) {
  const ServableHandle keep = task->servable;
  task->inputs.clear();
  std::vector<NamedTensor> named;
  size_t filled_bytes = 0;
  for (const PredictRequestParts::Input& input : task->parts.inputs) {
    StatusOr<Tensor> tensor = DecodeTensorProto(input.tensor);
    if (!tensor.ok())
      return FinishPredict(task, InvalidArgumentError(fmt::format("tensor parsing error: {}: {}", input.name, tensor.status().message())));
    const size_t bytes = tensor->view().bytes.size();
    filled_bytes += bytes - std::min(bytes, input.tensor.size());
    if (filled_bytes > kMaxFilledTensorBytes) {
      return FinishPredict(task, InvalidArgumentError(fmt::format(
                                     "the inputs have fewer values than elements, for which the limit is {} bytes of all", kMaxFilledTensorBytes)));
    }
    task->inputs.push_back(*std::move(tensor));
    named.push_back({input.name, {}});
  }
  if (const Status status = task->call->Hold(BytesBeside(task->inputs, task->call->request_size_bytes())); !status.ok())
    return FinishPredict(task, status);
  for (size_t i = 0; i < named.size(); ++i) named[i].tensor = task->inputs[i].view();
  if (const Status status = WriteJsonRequest(task->parts.model_spec.signature_name, named, task->json); !status.ok())
    return FinishPredict(task, status);
  keep->RunJson(
      {.body = task->json, .deadline = task->call->deadline(), .cancellation = &task->call->cancellation(), .times = task->record.run_times()},
      [this, task](const Status& status, const JsonAnswer& answer) { FinishPredict(task, status.ok() ? WriteJsonReply(*task, answer) : status); });
}

Status PredictionService::WriteJsonReply(PredictTask& task, const JsonAnswer& answer) const {
  if (answer.is_error) return InvalidArgumentError(ErrorOfJsonAnswer(answer.text));
  TFLS_ASSIGN_OR_RETURN(JsonAnswerTensors read, ReadJsonAnswer(answer.text));
  task.answered = std::move(read.signature);
  task.answered.key = task.parts.model_spec.signature_name.empty() ? std::string(kDefaultSignatureKey) : task.parts.model_spec.signature_name;
  TFLS_RETURN_IF_ERROR(SelectOutputs(task.answered, task.parts.output_filter, task.selected_outputs));
  std::vector<TensorView> outputs;
  for (const Tensor& output : read.outputs) outputs.push_back(output.view());
  TFLS_RETURN_IF_ERROR(task.response.Prepare({.servable = task.servable->id(),
                                              .signature = task.answered,
                                              .outputs = outputs,
                                              .selected = task.selected_outputs,
                                              .as_tensor_content = options_.tensor_content_in_replies}));
  task.response.Write(task.call->AllocateReply(task.response.size()));
  return OkStatus();
}

Status PredictionService::WriteReply(PredictTask& task, std::span<const TensorView> outputs) const {
  TFLS_RETURN_IF_ERROR(task.response.Prepare({.servable = task.servable->id(),
                                              .signature = *task.signature,
                                              .outputs = task.view.DequantizeOutputs(outputs),
                                              .selected = task.selected_outputs,
                                              .as_tensor_content = options_.tensor_content_in_replies}));
  task.response.Write(task.call->AllocateReply(task.response.size()));
  return OkStatus();
}

void PredictionService::FinishPredict(PredictTask* task, const Status& status) {
  GrpcCall& call = *task->call;
  const size_t reply_bytes = status.ok() ? task->response.size() : 0;
  if (task->servable != nullptr && task->servable->TakesJson()) {
    task->record.End(kDefaultSignatureKey, status.code(), reply_bytes);  // whatever the client calls it
  } else {
    task->record.End(task->signature, status.code(), reply_bytes);
  }
  task->servable = nullptr;
  FreeLargeInputs(task->inputs);
  if (task->json.capacity() > kMaxKeptInputBytes) task->json = {};
  task->view.Trim(kMaxKeptInputBytes);
  tasks_.GiveBack(std::unique_ptr<PredictTask>(task));
  call.Finish(status);
}

void PredictionService::GetModelMetadata(GrpcCall& call) {
  tensorflow::serving::GetModelMetadataRequest request;
  const Status parsed = ParseMessage(call, request);
  const StatusOr<tensorflow::serving::GetModelMetadataResponse> response = parsed.ok() ? Metadata(request) : parsed;
  ReportCall(options_.observers, call, ApiMethod::kMetadata, request.model_spec().name(), response.status().code(),
             response.ok() ? response->ByteSizeLong() : 0);
  if (!response.ok()) return call.Finish(response.status());
  FinishWithMessage(call, *response);
}

StatusOr<tensorflow::serving::GetModelMetadataResponse> PredictionService::Metadata(
    const tensorflow::serving::GetModelMetadataRequest& request) const {
  if (!request.has_model_spec()) return InvalidArgumentError("Missing ModelSpec");
  if (request.metadata_field().empty()) return InvalidArgumentError("GetModelMetadataRequest must specify at least one metadata_field");
  for (const std::string& field : request.metadata_field()) {
    if (field != kSignatureDefField) return InvalidArgumentError(fmt::format("Metadata field {} is not supported", field));
  }
  TFLS_ASSIGN_OR_RETURN(const ServableHandle servable, LookUp(servables_, true, FromProto(request.model_spec())));
  tensorflow::serving::GetModelMetadataResponse response;
  response.mutable_model_spec()->set_name(servable->id().name);
  response.mutable_model_spec()->mutable_version()->set_value(servable->id().version);
  (*response.mutable_metadata())[std::string(kSignatureDefField)].PackFrom(ToSignatureDefMap(servable->signatures()));
  return response;
}

}  // namespace tflite_serving
