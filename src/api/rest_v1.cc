#include "api/rest_v1.h"

#include <charconv>
#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "api/prediction_log.h"
#include "api/request_task.h"
#include "api/rest_error.h"
#include "codec/metadata_json.h"
#include "codec/profile_json.h"
#include "serving/predict.h"

namespace tflite_serving {
namespace {

// In which profiles wait for a worker: what they take is not to be held against their model's requests.
constexpr std::string_view kProfileFlow = "(profile)";

constexpr std::string_view kNotFoundPage =
    "<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n";  // as libevent answers outside of /v1/

StatusOr<int64_t> ParseRuns(std::string_view query) {
  const std::optional<std::string> text = FindQueryParameter(query, "runs");
  if (!text) return kDefaultProfileRuns;
  int64_t runs = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), runs);
  if (error != std::errc() || end != text->data() + text->size()) {
    return InvalidArgumentError(fmt::format("runs: expected 1 to {}, got \"{}\"", kMaxProfileRuns, *text));
  }
  TFLS_RETURN_IF_ERROR(CheckProfileRuns(runs));
  return runs;
}

}  // namespace

HttpHeaders CorsHeaders(bool with_keys) {
  return {{"Access-Control-Allow-Origin", "*"},
          {"Access-Control-Allow-Methods", "POST, GET"},
          {"Access-Control-Allow-Headers", with_keys ? "Content-Type, Authorization, X-API-Key" : "Content-Type"}};
}

RestV1::RestV1(const ServableSource& servables, WorkerPool& workers, const Clock& clock, Options options)
    : servables_(servables),
      workers_(workers),
      clock_(clock),
      options_(std::move(options)),
      tasks_(kMaxIdleTasks),
      inference_(servables, workers, clock, {.check_method_names = options_.check_method_names, .observers = options_.observers}) {}

void RestV1::Handle(HttpCall& call) {
  const HttpRequest& request = call.request();
  static thread_local RestPath path;  // so that its memory is used again
  const Status parsed = ParseRestPath(request.method, request.target, path);
  if (!parsed.ok() || path.route != RestRoute::kNotApi) call.response().headers = options_.headers;
  if (!parsed.ok()) return Finish(call, ApiMethod::kMalformed, {}, parsed);
  if (path.route == RestRoute::kProfile && !options_.profile) {
    return Finish(call, ApiMethod::kMalformed, {}, MalformedRequest(request.method, request.target));
  }
  switch (path.route) {
    case RestRoute::kPredict:
      return Predict(call, path);
    case RestRoute::kStatus:
      return AnswerStatus(call, path.spec);
    case RestRoute::kMetadata:
      return AnswerMetadata(call, path);
    case RestRoute::kProfile:
      return AnswerProfile(call, path);
    case RestRoute::kList:
      return AnswerList(call);
    case RestRoute::kOptions:
      return AnswerOptions(call);
    case RestRoute::kClassify:
      return inference_.Handle(call, path.spec, InferenceMethod::kClassify, DeadlineOf(call));
    case RestRoute::kRegress:
      return inference_.Handle(call, path.spec, InferenceMethod::kRegress, DeadlineOf(call));
    case RestRoute::kNotApi:
      call.response().status = 404;
      call.response().content_type = "text/html";
      call.response().body = kNotFoundPage;
      return call.Finish();
  }
}

bool RestV1::RefusesUnread(HttpCall& call) {
  RestPath path;
  if (!ParseRestPath(call.request().method, call.request().target, path).ok() || path.route != RestRoute::kPredict) return false;
  const StatusOr<ServableHandle> servable = servables_.GetServable(path.spec);
  if (!servable.ok() || (*servable)->TakesJson() || !workers_.WouldRefuse(FlowOf(servable))) return false;
  call.response().headers = options_.headers;
  WriteError(TooManyRequests(), call.response());
  if (options_.observers.metrics != nullptr) options_.observers.metrics->CountRejected(RequestMetrics::Rejection::kUnreadBody);
  ReportCall(options_.observers, call, ApiMethod::kPredict, path.spec.name, StatusCode::kUnavailable);
  return true;
}

TimePoint RestV1::DeadlineOf(const HttpCall& call) const {
  return options_.timeout.count() > 0 ? call.request().received_at + options_.timeout : kNoDeadline;
}

void RestV1::Predict(HttpCall& call, RestPath& path) {
  PredictTask* task = tasks_.Take().release();
  task->call = &call;
  task->view.Begin(false);  // the signature of the request before is not to be remembered
  task->record.Begin(options_.observers, call, ApiMethod::kPredict);
  task->record.SetModel(path.spec.name);
  if (const Status status = task->body.Open(call.request(), path.query, path.spec); !status.ok()) return FinishPredict(task, status);
  const StatusOr<bool> dequantize = ParseSwitch("dequantize", FindQueryParameter(path.query, "dequantize").value_or(""));
  if (!dequantize.ok()) return FinishPredict(task, dequantize.status());
  task->view.Begin(*dequantize);
  task->servable = servables_.GetServable(path.spec);
  if (task->servable.ok()) task->record.SetVersion((*task->servable)->id().version);
  task->deadline = DeadlineOf(call);
  if (task->servable.ok() && (*task->servable)->TakesJson()) return RunJson(task);
  const bool run_here = RunsHere(task->servable, call.request().body.size());
  const Status started = RunHereOrOnWorker(run_here, workers_, FlowOf(task->servable), &task->record, [this, task] { RunPredict(task); });
  if (!started.ok()) FinishPredict(task, started);
}

void RestV1::RunPredict(PredictTask* task) {
  task->record.Started();
  const StatusOr<ServableHandle> keep = task->servable;  // until Run has returned, which is after the task is done
  const SignatureResolver resolve = [task](std::string_view name) -> StatusOr<const Signature*> {
    if (!task->servable.ok()) return task->servable.status();
    const Signature* signature = FindSignature((*task->servable)->signatures(), name);
    if (signature != nullptr) return task->view.See(signature);
    return InvalidArgumentError(fmt::format("Serving signature name: \"{}\" not found in signature def", name.empty() ? kDefaultSignatureKey : name));
  };
  if (const Status status = task->body.Decode(task->call->request(), resolve); !status.ok()) return FinishPredict(task, status);
  const size_t beside = BytesBeside(task->body.inputs(), task->call->request().body.size());
  if (const Status status = task->call->Hold(beside); !status.ok()) return FinishPredict(task, status);
  if (const Status status = task->view.QuantizeInputs(task->body.inputs()); !status.ok()) return FinishPredict(task, status);
  tflite_serving::Predict({.servable = **task->servable,
                           .signature = *task->view.own(),
                           .inputs = task->body.inputs(),
                           .views = task->views,
                           .deadline = task->deadline,
                           .cancellation = &task->call->cancellation(),
                           .times = task->record.run_times(),
                           .check_method_name = options_.check_method_names},
                          clock_, [this, task](const Status& status, std::span<const TensorView> outputs) {
                            if (!status.ok()) return FinishPredict(task, status);
                            task->record.LogSample([&] { return PredictLogOf((*task->servable)->id(), *task->view.own(), task->views, outputs); });
                            FinishPredict(task, task->body.Encode((*task->servable)->id(), task->view.DequantizeOutputs(outputs),
                                                                  options_.tensor_content_in_replies, task->call->response()));
                          });
}

void RestV1::RunJson(PredictTask* task) {
  if (!task->body.is_json()) return FinishPredict(task, InvalidArgumentError("the model takes and gives JSON alone"));
  const ServableHandle keep = *task->servable;
  const std::span<const char> body = task->call->request().body;
  keep->RunJson({.body = {body.data(), body.size()},
                 .deadline = task->deadline,
                 .cancellation = &task->call->cancellation(),
                 .times = task->record.run_times()},
                [this, task](const Status& status, const JsonAnswer& answer) {
                  if (!status.ok()) return FinishPredict(task, status);
                  HttpResponse& response = task->call->response();
                  if (answer.is_error) response.status = HttpStatusOf(StatusCode::kInvalidArgument);
                  response.body = answer.text;
                  FinishPredict(task, OkStatus());
                });
}

void RestV1::FinishPredict(PredictTask* task, const Status& status) {
  HttpCall& call = *task->call;
  HttpResponse& response = call.response();
  if (!status.ok()) WriteError(status, response);
  const bool took_json = task->servable.ok() && *task->servable != nullptr && (*task->servable)->TakesJson();
  if (took_json && status.ok()) {  // and may have said itself what is wrong
    task->record.End(kDefaultSignatureKey, response.status == 200 ? StatusCode::kOk : StatusCode::kInvalidArgument, response.body.size());
  } else {
    task->record.End(task->view.own(), status.code(), response.body.size());
  }
  task->servable = ServableHandle();
  task->body.Trim(kMaxKeptInputBytes);
  task->view.Trim(kMaxKeptInputBytes);
  tasks_.GiveBack(std::unique_ptr<PredictTask>(task));
  call.Finish();
}

void RestV1::AnswerOptions(HttpCall& call) {
  const std::string_view origin = call.request().origin;
  if (!origin.starts_with("http://") && !origin.starts_with("https://")) call.response().status = 400;
  call.Finish();
}

void RestV1::Finish(HttpCall& call, ApiMethod method, std::string_view model, const Status& status) {
  if (!status.ok()) WriteError(status, call.response());
  ReportCall(options_.observers, call, method, model, status.code());
  call.Finish();
}

void RestV1::AnswerList(HttpCall& call) {
  std::vector<ModelStatus> models;
  for (const std::string& name : servables_.ListModels()) models.push_back({name, servables_.GetVersionStatuses(name)});
  call.response().body = ModelListJson(models);
  Finish(call, ApiMethod::kList, {}, OkStatus());
}

void RestV1::AnswerStatus(HttpCall& call, const ModelSpec& spec) {
  // A label is ignored here, as the original does: all versions are listed.
  std::vector<VersionStatus> statuses = servables_.GetVersionStatuses(spec.name);
  const auto finish = [&](const Status& status) { Finish(call, ApiMethod::kStatus, spec.name, status); };
  if (statuses.empty()) return finish(NotFoundError(fmt::format("Could not find any versions of model {}", spec.name)));
  if (spec.version) {
    std::erase_if(statuses, [&](const VersionStatus& status) { return status.version != *spec.version; });
    if (statuses.empty()) return finish(NotFoundError(fmt::format("Could not find version {} of model {}", *spec.version, spec.name)));
  }
  call.response().body = ModelStatusJson(statuses);
  finish(OkStatus());
}

void RestV1::AnswerMetadata(HttpCall& call, const RestPath& path) {
  const StatusOr<bool> quantization = ParseSwitch("quantization", FindQueryParameter(path.query, "quantization").value_or(""));
  const auto finish = [&](const Status& status) { Finish(call, ApiMethod::kMetadata, path.spec.name, status); };
  if (!quantization.ok()) return finish(quantization.status());
  const StatusOr<ServableHandle> servable = servables_.GetServable(path.spec);
  if (!servable.ok()) return finish(servable.status());
  call.response().body = ModelMetadataJson((*servable)->id(), (*servable)->signatures(), *quantization);
  finish(OkStatus());
}

void RestV1::AnswerProfile(HttpCall& call, const RestPath& path) {
  const auto finish = [this, &call, name = path.spec.name](const Status& status) { Finish(call, ApiMethod::kProfile, name, status); };
  const StatusOr<int64_t> runs = ParseRuns(path.query);
  if (!runs.ok()) return finish(runs.status());
  const StatusOr<ServableHandle> servable = servables_.GetServable(path.spec);
  if (!servable.ok()) return finish(servable.status());
  if (profiling_.test_and_set()) return finish(UnavailableError("another profile is being made; try again later"));
  const auto profile = [this, &call, finish, servable = *servable, runs = *runs,
                        signature_name = FindQueryParameter(path.query, "signature_name").value_or("")] {
    const StatusOr<ModelProfile> made =
        servable->Profile({.signature_name = signature_name, .runs = runs, .deadline = DeadlineOf(call), .cancellation = &call.cancellation()});
    profiling_.clear();
    if (made.ok()) call.response().body = ModelProfileJson(*made);
    finish(made.status());
  };
  const Status started = RunHereOrOnWorker(false, workers_, kProfileFlow, nullptr, profile);
  if (started.ok()) return;
  profiling_.clear();
  finish(started);
}

}  // namespace tflite_serving
