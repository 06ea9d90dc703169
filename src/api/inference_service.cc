#include "api/inference_service.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>

#include "api/grpc_message.h"
#include "api/prediction_log.h"
#include "api/request_task.h"
#include "serving/infer.h"
#include "tensorflow_serving/apis/classification.pb.h"
#include "tensorflow_serving/apis/regression.pb.h"
#include "wire/message_reader.h"
#include "wire/message_writer.h"

namespace tflite_serving {
namespace {

// ClassificationRequest, RegressionRequest and MultiInferenceRequest: a model spec or tasks, and the Input.
constexpr uint32_t kHeadField = 1;
constexpr uint32_t kInputField = 2;
// Input, of which the one that comes last counts; ExampleList and ExampleListWithContext
constexpr uint32_t kListWithContextField = 2;
constexpr uint32_t kExamplesField = 1;
constexpr uint32_t kContextField = 2;
// A model spec, or tasks.
constexpr size_t kMaxHeadBytes = size_t{64} << 10;

// Calls `take` with each field of `message` that has bytes; an error of its ends it.
template <typename Take>
Status ForEachRange(const WireRange& message, Take take) {
  MessageReader reader(message);
  for (WireField field; reader.Next(field);) {
    if (field.type == WireType::kLengthDelimited) TFLS_RETURN_IF_ERROR(take(field.number, field.range));
  }
  return reader.malformed() ? InvalidArgumentError(reader.problem()) : OkStatus();
}

// The message but for its input, which may be large and stays where it is.
Status ParseHead(const GrpcCall& call, google::protobuf::MessageLite& request, WireRange& input) {
  std::string head;
  Status read = ForEachRange(WireRange(call.request()), [&](uint32_t number, const WireRange& range) {
    if (number == kInputField) input = range;
    if (number != kHeadField) return OkStatus();
    if (head.size() + range.size() > kMaxHeadBytes) {
      return ResourceExhaustedError(fmt::format("a {} has more than {} bytes beside its input", request.GetTypeName(), kMaxHeadBytes));
    }
    std::string field(DelimitedSize(kHeadField, range.size()), '\0');
    MessageWriter writer(std::as_writable_bytes(std::span(field)));
    writer.Delimited(kHeadField, range.size());
    writer.Text(range.ToString());
    head += field;
    return OkStatus();
  });
  if (read.code() == StatusCode::kResourceExhausted) return read;
  const google::protobuf::LogSilencer silencer;
  if (!read.ok() || !request.ParseFromString(head)) return InvalidArgumentError(fmt::format("the request is not a valid {}", request.GetTypeName()));
  return OkStatus();
}

Status ReadInput(const WireRange& input, SerializedExamples& examples) {
  WireRange list;
  bool has_context = false;
  TFLS_RETURN_IF_ERROR(ForEachRange(input, [&](uint32_t number, const WireRange& range) {
    if (number > kListWithContextField) return OkStatus();
    list = range;
    has_context = number == kListWithContextField;
    return OkStatus();
  }));
  std::string context;
  TFLS_RETURN_IF_ERROR(ForEachRange(list, [&](uint32_t number, const WireRange& range) {
    if (has_context && number == kContextField) context += range.ToString();  // messages one behind the other are merged
    return OkStatus();
  }));
  if (has_context) examples.SetContext(context);
  return ForEachRange(list, [&](uint32_t number, const WireRange& range) {
    if (number != kExamplesField) return OkStatus();
    const std::span<const std::byte> here = range.contiguous();
    if (here.size() != range.size()) return examples.Add(range.ToString());
    return examples.Add({reinterpret_cast<const char*>(here.data()), here.size()});
  });
}

// A Response of Classify or Regress from the `result` and model spec that MultiInference would give.
template <typename Response, typename Result>
StatusOr<size_t> WriteSingle(GrpcCall& call, tensorflow::serving::InferenceResult& from, Result& result) {
  Response response;
  response.mutable_result()->Swap(&result);
  response.mutable_model_spec()->Swap(from.mutable_model_spec());
  return WriteMessage(call, response);
}

}  // namespace

ApiMethod InferenceService::MetricOf(Rpc rpc) {
  switch (rpc) {
    case Rpc::kClassify:
      return ApiMethod::kClassify;
    case Rpc::kRegress:
      return ApiMethod::kRegress;
    case Rpc::kMultiInference:
      break;
  }
  return ApiMethod::kMultiInference;
}

InferenceService::InferenceService(const ServableSource& servables, WorkerPool& workers, const Clock& clock, Options options)
    : servables_(servables), workers_(workers), clock_(clock), options_(options) {}

std::vector<GrpcMethod> InferenceService::methods() {
  return {{"/tensorflow.serving.PredictionService/Classify", [this](GrpcCall& call) { Handle(call, Rpc::kClassify); }},
          {"/tensorflow.serving.PredictionService/Regress", [this](GrpcCall& call) { Handle(call, Rpc::kRegress); }},
          {"/tensorflow.serving.PredictionService/MultiInference", [this](GrpcCall& call) { Handle(call, Rpc::kMultiInference); }}};
}

void InferenceService::Handle(GrpcCall& call, Rpc rpc) {
  const auto task = std::make_shared<Task>();
  task->call = &call;
  task->rpc = rpc;
  task->record.Begin(options_.observers, call, MetricOf(rpc));
  const bool on_worker = call.request_size_bytes() > kMaxInlineBodyBytes;
  const Status started = RunHereOrOnWorker(!on_worker, workers_, {}, &task->record, [this, task, on_worker] { Prepare(task, on_worker); });
  if (!started.ok()) Finish(*task, started);
}

void InferenceService::Prepare(const std::shared_ptr<Task>& task, bool on_worker) {
  GrpcCall& call = *task->call;
  task->record.Started();
  if (const Status status = Parse(*task); !status.ok()) return Finish(*task, status);
  task->record.SetExamples(task->examples.size());
  task->record.SetVersion(task->servable->id().version);
  const bool run_here = on_worker || (task->runs.size() == 1 && task->servable->RunsInline(call.request_size_bytes()));
  const Status started = RunHereOrOnWorker(run_here, workers_, FlowOf(task->servable), &task->record, [this, task] { RunAll(task); });
  if (!started.ok()) Finish(*task, started);
}

Status InferenceService::Parse(Task& task) const {
  switch (task.rpc) {
    case Rpc::kClassify:
      return ParseSingle<tensorflow::serving::ClassificationRequest>(task, InferenceMethod::kClassify);
    case Rpc::kRegress:
      return ParseSingle<tensorflow::serving::RegressionRequest>(task, InferenceMethod::kRegress);
    case Rpc::kMultiInference:
      break;
  }
  return ParseMulti(task);
}

template <typename Request>
Status InferenceService::ParseSingle(Task& task, InferenceMethod method) const {
  Request request;
  WireRange input;
  TFLS_RETURN_IF_ERROR(ParseHead(*task.call, request, input));
  const ModelSpec spec = FromProto(request.model_spec());
  task.record.SetModel(spec.name);
  TFLS_ASSIGN_OR_RETURN(task.servable, LookUp(servables_, request.has_model_spec(), spec));
  TFLS_ASSIGN_OR_RETURN(const Signature* const signature,
                        FindInferSignature(method, task.servable->signatures(), spec.signature_name, options_.check_method_names));
  task.runs.push_back({.method = method, .signature = signature});
  return ReadInput(input, task.examples);
}

Status InferenceService::ParseMulti(Task& task) const {
  tensorflow::serving::MultiInferenceRequest request;
  WireRange input;
  TFLS_RETURN_IF_ERROR(ParseHead(*task.call, request, input));
  // As in the original the first task chooses the version.
  const ModelSpec spec = request.tasks().empty() ? ModelSpec() : FromProto(request.tasks(0).model_spec());
  task.record.SetModel(spec.name);
  TFLS_ASSIGN_OR_RETURN(task.servable, LookUp(servables_, true, spec));
  std::set<const Signature*> seen;
  for (const tensorflow::serving::InferenceTask& inference : request.tasks()) {
    const std::string& model = inference.model_spec().name();
    if (model.empty()) return InvalidArgumentError("Found ModelSpec with an empty model name.");
    if (model != spec.name) return InvalidArgumentError("All ModelSpecs in a MultiInferenceRequest must access the same model name.");
    const std::string& name = inference.model_spec().signature_name();
    const std::string_view key = name.empty() ? kDefaultSignatureKey : name;
    const Signature* const signature = FindSignature(task.servable->signatures(), key);
    if (signature == nullptr) return InvalidArgumentError(fmt::format("Requested signature not found in model graph: {}", key));
    if (!seen.insert(signature).second) return InvalidArgumentError(fmt::format("Duplicate evaluation of signature: {}", key));
    const bool classify = inference.method_name() == kClassifyMethodName;
    if (!classify && inference.method_name() != kRegressMethodName) {
      return UnimplementedError(fmt::format("Unsupported signature method_name: {}", inference.method_name()));
    }
    const InferenceMethod method = classify ? InferenceMethod::kClassify : InferenceMethod::kRegress;
    TFLS_RETURN_IF_ERROR(CheckInferSignature(method, *signature, options_.check_method_names));
    task.runs.push_back({.method = method, .signature = signature});
  }
  return ReadInput(input, task.examples);
}

void InferenceService::RunAll(const std::shared_ptr<Task>& task) {
  const ServableHandle keep = task->servable;  // until all have been started, which may be after the task is done
  task->record.Started();
  for (const Run& run : task->runs) {
    tensorflow::serving::ModelSpec& spec = *task->response.add_results()->mutable_model_spec();
    spec.set_name(task->servable->id().name);
    spec.set_signature_name(run.signature->key);
    spec.mutable_version()->set_value(task->servable->id().version);
  }
  // The last run to end finishes the call: it must not be touched once all have been started.
  const size_t num_runs = task->runs.size();
  task->unfinished_runs = num_runs;
  for (size_t i = 0; i < num_runs; ++i) {
    Run& run = task->runs[i];
    Infer({.method = run.method,
           .servable = *keep,
           .signature = *run.signature,
           .examples = task->examples,
           .inputs = run.inputs,
           .views = run.views,
           .deadline = task->call->deadline(),
           .cancellation = &task->call->cancellation(),
           .times = num_runs == 1 ? task->record.run_times() : nullptr},
          clock_, [task, i](const Status& status, const InferenceResult& result) { FinishRun(*task, i, status, result); });
  }
}

void InferenceService::FinishRun(Task& task, size_t i, const Status& status, const InferenceResult& result) {
  task.runs[i].status = status;
  if (status.ok()) {
    FillResult(result, *task.response.mutable_results(static_cast<int>(i)));
    task.record.LogSample([&] { return InferLogOf(task.servable->id(), *task.runs[i].signature, task.examples, result); });
  }
  if (task.unfinished_runs.fetch_sub(1) == 1) Reply(task);
}

void InferenceService::Reply(Task& task) {
  const auto failed = std::ranges::find_if(task.runs, [](const Run& run) { return !run.status.ok(); });
  Finish(task, failed == task.runs.end() ? OkStatus() : failed->status);
}

void InferenceService::Finish(Task& task, const Status& status) {
  const StatusOr<size_t> written = status.ok() ? WriteReply(task) : status;
  task.record.End(task.runs.size() == 1 ? task.runs.front().signature : nullptr, written.status().code(), written.ok() ? *written : 0);
  task.servable = nullptr;  // whoever runs it may keep the task
  task.call->Finish(written.status());
}

StatusOr<size_t> InferenceService::WriteReply(Task& task) {
  GrpcCall& call = *task.call;
  if (task.rpc == Rpc::kMultiInference) return WriteMessage(call, task.response);
  tensorflow::serving::InferenceResult& only = *task.response.mutable_results(0);
  if (task.rpc == Rpc::kClassify) {
    return WriteSingle<tensorflow::serving::ClassificationResponse>(call, only, *only.mutable_classification_result());
  }
  return WriteSingle<tensorflow::serving::RegressionResponse>(call, only, *only.mutable_regression_result());
}

}  // namespace tflite_serving
