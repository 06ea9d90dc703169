// :classify and :regress of the REST API: Examples in JSON, classes or numbers in JSON. RestV1 knows the routes; this is what stands behind two of
// them.
#pragma once

#include <string>
#include <vector>

#include "api/request_record.h"
#include "base/clock.h"
#include "base/object_pool.h"
#include "base/worker_pool.h"
#include "example/serialized_examples.h"
#include "servable/inference_result.h"
#include "servable/servable.h"
#include "transport/http_call.h"

namespace tflite_serving {

// Thread-safe. Must outlive every call that it was handed.
class RestInference {
 public:
  struct Options {
    bool check_method_names = false;  // --enable_signature_method_name_check
    RequestObservers observers;
  };

  // Everything is borrowed and must outlive this object.
  RestInference(const ServableSource& servables, WorkerPool& workers, const Clock& clock, Options options);

  // Answers the call, here or on a worker. What is wrong is reported in the original's order: the body, the model, the signature, the examples'
  // values.
  void Handle(HttpCall& call, const ModelSpec& spec, InferenceMethod method, TimePoint deadline);

 private:
  // One request on its way; reused, so that its memory is.
  struct Task {
    HttpCall* call = nullptr;
    InferenceMethod method = InferenceMethod::kClassify;
    StatusOr<ServableHandle> servable{ServableHandle()};
    TimePoint deadline = kNoDeadline;
    std::string signature_name;
    SerializedExamples examples;
    std::vector<Tensor> inputs;
    std::vector<TensorView> views;
    const Signature* signature = nullptr;  // once it is known
    RequestRecord record;
  };

  void Run(Task* task);
  // By value: the status may be the task's own.
  void Finish(Task* task, Status status);

  const ServableSource& servables_;
  WorkerPool& workers_;
  const Clock& clock_;
  const Options options_;
  ObjectPool<Task> tasks_;
};

}  // namespace tflite_serving
