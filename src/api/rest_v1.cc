#include "api/rest_v1.h"

#include <functional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "codec/json_writer.h"
#include "codec/metadata_json.h"
#include "serving/predict.h"

namespace tflite_serving {
namespace {

// Idle predict tasks that are kept, and the input memory one of them may keep.
constexpr size_t kMaxIdleTasks = 64;
constexpr size_t kMaxKeptInputBytes = size_t{4} << 20;
// A body up to this size whose model is unknown is still parsed on the I/O thread (a syntax error is reported before the unknown model).
constexpr size_t kMaxInlineBodyBytes = size_t{64} << 10;

constexpr std::string_view kNotFoundPage =
    "<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n";  // as libevent answers outside of /v1/

void FinishWithError(HttpCall& call, const Status& status) {
  call.response().status = HttpStatusOf(status.code());
  call.response().content_type = "application/json";
  call.response().body = ErrorJson(status.message());
  call.Finish();
}

}  // namespace

int HttpStatusOf(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return 200;
    case StatusCode::kCancelled:
      return 499;
    case StatusCode::kInvalidArgument:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kOutOfRange:
      return 400;
    case StatusCode::kUnauthenticated:
      return 401;
    case StatusCode::kPermissionDenied:
      return 403;
    case StatusCode::kNotFound:
      return 404;
    case StatusCode::kAlreadyExists:
    case StatusCode::kAborted:
      return 409;
    case StatusCode::kResourceExhausted:
      return 429;
    case StatusCode::kUnimplemented:
      return 501;
    case StatusCode::kUnavailable:
      return 503;
    case StatusCode::kDeadlineExceeded:
      return 504;
    case StatusCode::kUnknown:
    case StatusCode::kInternal:
    case StatusCode::kDataLoss:
      return 500;
  }
  return 500;
}

HttpHeaders CorsHeaders() {
  return {{"Access-Control-Allow-Origin", "*"}, {"Access-Control-Allow-Methods", "POST, GET"}, {"Access-Control-Allow-Headers", "Content-Type"}};
}

RestV1::RestV1(const ServableSource& servables, WorkerPool& workers, const Clock& clock, Options options)
    : servables_(servables), workers_(workers), clock_(clock), options_(options), tasks_(kMaxIdleTasks) {}

void RestV1::Handle(HttpCall& call) {
  const HttpRequest& request = call.request();
  StatusOr<RestPath> path = ParseRestPath(request.method, request.target);
  if (options_.cors && (!path.ok() || path->route != RestRoute::kNotApi)) call.response().headers = CorsHeaders();
  if (!path.ok()) return FinishWithError(call, path.status());
  switch (path->route) {
    case RestRoute::kPredict:
      return Predict(call, *std::move(path));
    case RestRoute::kStatus:
      return AnswerStatus(call, path->spec);
    case RestRoute::kMetadata:
      return AnswerMetadata(call, path->spec);
    case RestRoute::kList:
      return AnswerList(call);
    case RestRoute::kOptions:
      return AnswerOptions(call);
    case RestRoute::kClassify:
    case RestRoute::kRegress:
      return FinishWithError(call, UnimplementedError(":classify and :regress are not supported by this version yet"));
    case RestRoute::kNotApi:
      call.response().status = 404;
      call.response().content_type = "text/html";
      call.response().body = kNotFoundPage;
      return call.Finish();
  }
}

void RestV1::Predict(HttpCall& call, RestPath path) {
  PredictTask* task = tasks_.Take().release();
  task->call = &call;
  if (const Status status = task->body.Open(call.request(), path.query, path.spec); !status.ok()) return FinishPredict(task, status);
  task->servable = servables_.GetServable(path.spec);
  task->deadline = options_.timeout.count() > 0 ? call.request().received_at + options_.timeout : kNoDeadline;
  const size_t body_bytes = call.request().body.size();
  const bool run_here = task->servable.ok() ? (*task->servable)->RunsInline(body_bytes) : body_bytes <= kMaxInlineBodyBytes;
  if (run_here) return RunPredict(task);
  std::function<void()> work = [this, task] { RunPredict(task); };
  if (!workers_.TrySubmit(work)) FinishPredict(task, UnavailableError("too many requests are waiting; try again later"));
}

void RestV1::RunPredict(PredictTask* task) {
  const SignatureResolver resolve = [task](std::string_view name) -> StatusOr<const Signature*> {
    if (!task->servable.ok()) return task->servable.status();
    const Signature* signature = FindSignature((*task->servable)->signatures(), name);
    if (signature != nullptr) return signature;
    return InvalidArgumentError(fmt::format("Serving signature name: \"{}\" not found in signature def", name.empty() ? kDefaultSignatureKey : name));
  };
  if (const Status status = task->body.Decode(task->call->request(), resolve); !status.ok()) return FinishPredict(task, status);
  tflite_serving::Predict(
      {.servable = **task->servable,
       .signature = task->body.signature(),
       .inputs = task->body.inputs(),
       .views = task->views,
       .deadline = task->deadline,
       .cancellation = &task->call->cancellation()},
      clock_, [this, task](const Status& status, std::span<const TensorView> outputs) {
        if (!status.ok()) return FinishPredict(task, status);
        FinishPredict(task, task->body.Encode((*task->servable)->id(), outputs, options_.tensor_content_in_replies, task->call->response()));
      });
}

void RestV1::FinishPredict(PredictTask* task, const Status& status) {
  HttpCall& call = *task->call;
  task->servable = ServableHandle();
  task->body.Trim(kMaxKeptInputBytes);
  tasks_.GiveBack(std::unique_ptr<PredictTask>(task));
  if (!status.ok()) return FinishWithError(call, status);
  call.Finish();
}

void RestV1::AnswerOptions(HttpCall& call) {
  const std::string_view origin = call.request().origin;
  if (!origin.starts_with("http://") && !origin.starts_with("https://")) call.response().status = 400;
  call.Finish();
}

void RestV1::AnswerList(HttpCall& call) {
  std::vector<ModelStatus> models;
  for (const std::string& name : servables_.ListModels()) models.push_back({name, servables_.GetVersionStatuses(name)});
  call.response().body = ModelListJson(models);
  call.Finish();
}

void RestV1::AnswerStatus(HttpCall& call, const ModelSpec& spec) {
  // A label is ignored here, as the original does: all versions are listed.
  std::vector<VersionStatus> statuses = servables_.GetVersionStatuses(spec.name);
  if (statuses.empty()) return FinishWithError(call, NotFoundError(fmt::format("Could not find any versions of model {}", spec.name)));
  if (spec.version) {
    std::erase_if(statuses, [&](const VersionStatus& status) { return status.version != *spec.version; });
    if (statuses.empty()) return FinishWithError(call, NotFoundError(fmt::format("Could not find version {} of model {}", *spec.version, spec.name)));
  }
  call.response().body = ModelStatusJson(statuses);
  call.Finish();
}

void RestV1::AnswerMetadata(HttpCall& call, const ModelSpec& spec) {
  const StatusOr<ServableHandle> servable = servables_.GetServable(spec);
  if (!servable.ok()) return FinishWithError(call, servable.status());
  call.response().body = ModelMetadataJson((*servable)->id(), (*servable)->signatures());
  call.Finish();
}

}  // namespace tflite_serving
