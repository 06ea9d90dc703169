// TensorFlow Serving's REST API, /v1/models/…: the route table and one short function for each endpoint.
//
//   GET  /v1/models                                      all models with the states of their versions (the original has no such list)
//   POST /v1/models/M[/versions/N|/labels/L]:predict     rows or columns of JSON in and out, and the other bodies of api/rest_body.h
//   POST /v1/models/M[/versions/N|/labels/L]:classify    (or :regress) examples in, classes or numbers out; see rest_inference.h
//   GET  /v1/models/M[/versions/N|/labels/L]             the states of the versions
//   GET  /v1/models/M[/versions/N|/labels/L]/metadata    the signatures
//   GET  /v1/models/M[/versions/N|/labels/L]/profile     what the operators take, with ?runs= and ?signature_name= (the original lacks it)
//
// HEAD is answered as GET. OPTIONS, which browsers ask before a request to another origin, is answered with no body: 200 if Origin is an http or
// https URL, else 400. Errors are `{"error": "…"}` with the HTTP code of their canonical code (rest_error.h).
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "api/request_record.h"
#include "api/rest_body.h"
#include "api/rest_inference.h"
#include "base/clock.h"
#include "base/object_pool.h"
#include "base/status.h"
#include "base/worker_pool.h"
#include "codec/rest_path.h"
#include "servable/servable.h"
#include "serving/quantization.h"
#include "transport/http_call.h"

namespace tflite_serving {

// What lets pages of any origin use the API (--rest_api_enable_cors_support), and send an API key with `with_keys`.
HttpHeaders CorsHeaders(bool with_keys);

// Thread-safe. Must outlive every call that it was handed.
class RestV1 : public HttpHandler {
 public:
  struct Options {
    std::chrono::milliseconds timeout{30000};  // for a whole request, from its first byte; <= 0: none
    bool tensor_content_in_replies = false;    // --enable_serialization_as_tensor_content, for replies of application/x-protobuf
    HttpHeaders headers;                       // of every answer, beside its own
    bool check_method_names = false;           // --enable_signature_method_name_check
    bool profile = false;                      // whether there is /profile
    RequestObservers observers;
  };

  // Everything is borrowed and must outlive this object.
  RestV1(const ServableSource& servables, WorkerPool& workers, const Clock& clock, Options options);

  // Small requests to fast models are answered on the caller's thread, all others on a worker.
  void Handle(HttpCall& call) override;
  // Predict requests that would wait too long for a worker.
  bool RefusesUnread(HttpCall& call) override;

 private:
  // One predict request on its way; reused, so that its memory is.
  struct PredictTask {
    HttpCall* call = nullptr;
    StatusOr<ServableHandle> servable{ServableHandle()};
    TimePoint deadline = kNoDeadline;
    SignatureView view;
    RestPredictBody body;
    std::vector<TensorView> views;
    RequestRecord record;
  };

  TimePoint DeadlineOf(const HttpCall& call) const;
  void Predict(HttpCall& call, RestPath& path);
  void RunPredict(PredictTask* task);
  // For a servable that takes the body as it is.
  void RunJson(PredictTask* task);
  void FinishPredict(PredictTask* task, const Status& status);
  void AnswerOptions(HttpCall& call);
  // Finishes a call that is not inference, and counts it.
  void Finish(HttpCall& call, ApiMethod method, std::string_view model, const Status& status);
  void AnswerList(HttpCall& call);
  void AnswerStatus(HttpCall& call, const ModelSpec& spec);
  void AnswerMetadata(HttpCall& call, const RestPath& path);
  // On a worker, one at a time: it takes a core, which others have for requests.
  void AnswerProfile(HttpCall& call, const RestPath& path);

  const ServableSource& servables_;
  WorkerPool& workers_;
  const Clock& clock_;
  const Options options_;
  ObjectPool<PredictTask> tasks_;
  std::atomic_flag profiling_;
  RestInference inference_;
};

}  // namespace tflite_serving
