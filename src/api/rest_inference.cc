#include "api/rest_inference.h"

#include <memory>

#include "api/prediction_log.h"
#include "api/request_task.h"
#include "api/rest_error.h"
#include "codec/json_examples.h"
#include "serving/infer.h"

namespace tflite_serving {

RestInference::RestInference(const ServableSource& servables, WorkerPool& workers, const Clock& clock, Options options)
    : servables_(servables), workers_(workers), clock_(clock), options_(options), tasks_(kMaxIdleTasks) {}

void RestInference::Handle(HttpCall& call, const ModelSpec& spec, InferenceMethod method, TimePoint deadline) {
  Task* task = tasks_.Take().release();
  task->call = &call;
  task->method = method;
  task->signature = nullptr;
  task->record.Begin(options_.observers, call, MetricOf(method));
  task->record.SetModel(spec.name);
  task->servable = servables_.GetServable(spec);
  if (task->servable.ok()) task->record.SetVersion((*task->servable)->id().version);
  task->deadline = deadline;
  const bool run_here = RunsHere(task->servable, call.request().body.size());
  const Status started = RunHereOrOnWorker(run_here, workers_, FlowOf(task->servable), &task->record, [this, task] { Run(task); });
  if (!started.ok()) Finish(task, started);
}

void RestInference::Run(Task* task) {
  task->record.Started();
  const StatusOr<ServableHandle> keep = task->servable;  // until Infer has returned, which is after the task is done
  const Status decoded = DecodeJsonExamples(task->call->request().body, task->signature_name, task->examples);
  if (!decoded.ok()) return Finish(task, decoded);
  task->record.SetExamples(task->examples.size());
  if (!task->servable.ok()) return Finish(task, task->servable.status());
  Servable& servable = **task->servable;
  const StatusOr<const Signature*> signature =
      FindInferSignature(task->method, servable.signatures(), task->signature_name, options_.check_method_names);
  if (!signature.ok()) return Finish(task, signature.status());
  task->signature = *signature;
  Infer({.method = task->method,
         .servable = servable,
         .signature = **signature,
         .examples = task->examples,
         .inputs = task->inputs,
         .views = task->views,
         .deadline = task->deadline,
         .cancellation = &task->call->cancellation(),
         .times = task->record.run_times()},
        clock_, [this, task](const Status& status, const InferenceResult& result) {
          if (status.ok()) {
            EncodeJsonResults(result, task->call->response().body);
            task->record.LogSample([&] { return InferLogOf((*task->servable)->id(), *task->signature, task->examples, result); });
          }
          Finish(task, status);
        });
}

void RestInference::Finish(Task* task, Status status) {
  HttpCall& call = *task->call;
  if (!status.ok()) WriteError(status, call.response());
  task->record.End(task->signature, status.code(), call.response().body.size());
  task->servable = ServableHandle();
  FreeLargeInputs(task->inputs);
  if (task->examples.size_bytes() > kMaxKeptInputBytes) task->examples = {};
  tasks_.GiveBack(std::unique_ptr<Task>(task));
  call.Finish();
}

}  // namespace tflite_serving
