#include "api/inference_service.h"

#include <functional>
#include <map>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "api/fake_calls.h"
#include "api/request_task.h"
#include "servable/fake_servable.h"
#include "servable/fake_servable_source.h"
#include "tensorflow_serving/apis/classification.pb.h"
#include "tensorflow_serving/apis/regression.pb.h"

namespace tflite_serving {
namespace {

using tensorflow::serving::ClassificationRequest;
using tensorflow::serving::ClassificationResponse;
using tensorflow::serving::InferenceTask;
using tensorflow::serving::MultiInferenceRequest;
using tensorflow::serving::MultiInferenceResponse;
using tensorflow::serving::RegressionRequest;
using tensorflow::serving::RegressionResponse;

Signature Identity(const std::string& key, DType dtype, const Shape& shape) {
  Signature signature = IdentitySignature(dtype, shape);
  signature.key = key;
  return signature;
}

void AddFloats(tensorflow::Example& example, std::initializer_list<float> values) {
  for (const float value : values) (*example.mutable_features()->mutable_feature())["x"].mutable_float_list()->add_value(value);
}

template <typename Request>
Request RequestFor(const std::string& signature, std::initializer_list<std::initializer_list<float>> examples) {
  Request request;
  request.mutable_model_spec()->set_name("m");
  request.mutable_model_spec()->set_signature_name(signature);
  for (const auto& values : examples) AddFloats(*request.mutable_input()->mutable_example_list()->add_examples(), values);
  return request;
}

void AddTask(MultiInferenceRequest& request, const std::string& signature, std::string_view method, const std::string& model = "m") {
  InferenceTask& task = *request.add_tasks();
  task.mutable_model_spec()->set_name(model);
  task.mutable_model_spec()->set_signature_name(signature);
  task.set_method_name(method.data(), method.size());
}

class InferenceServiceTest : public testing::Test {
 protected:
  InferenceServiceTest() { UseOptions({}); }

  void UseOptions(InferenceService::Options options) {
    service_ = std::make_unique<InferenceService>(source_, workers_, Clock::Steady(), options);
    handlers_.clear();
    for (GrpcMethod& method : service_->methods()) handlers_[method.path] = method.handler;
  }

  void Start(const std::string& method, FakeGrpcCall& call) { handlers_.at("/tensorflow.serving.PredictionService/" + method)(call); }

  template <typename Response>
  Status Call(const std::string& method, const google::protobuf::MessageLite& request, Response& response) {
    FakeGrpcCall call(request.SerializeAsString());
    Start(method, call);
    const Status status = call.Wait();
    EXPECT_TRUE(!status.ok() || response.ParseFromString(call.reply()));
    return status;
  }
  Status Classify(const ClassificationRequest& request) { return Call("Classify", request, classified_); }
  Status Regress(const RegressionRequest& request) { return Call("Regress", request, regressed_); }
  Status Infer(const MultiInferenceRequest& request) { return Call("MultiInference", request, inferred_); }

  std::shared_ptr<FakeServable> servable_ = std::make_shared<FakeServable>(
      ServableId{"m", 3}, std::vector<Signature>{Identity("serving_default", DType::kFloat, {-1, 2}), Identity("number", DType::kFloat, {-1, 1}),
                                                 Identity("one", DType::kFloat, {-1, 1}), Identity("text", DType::kString, {-1, 1})});
  FakeServableSource source_{{servable_}};
  WorkerPool workers_{"worker", 1, 1};
  std::unique_ptr<InferenceService> service_;
  std::map<std::string, GrpcHandler> handlers_;
  ClassificationResponse classified_;
  RegressionResponse regressed_;
  MultiInferenceResponse inferred_;
};

TEST_F(InferenceServiceTest, ClassifyAndRegressEchoTheModelSpec) {
  for (const bool runs_inline : {true, false}) {
    servable_->runs_inline = runs_inline;
    ASSERT_EQ(Classify(RequestFor<ClassificationRequest>("", {{0.25F, 0.75F}, {1, 0}})), OkStatus());
    EXPECT_EQ(classified_.model_spec().name(), "m");
    EXPECT_EQ(classified_.model_spec().signature_name(), "serving_default");
    EXPECT_EQ(classified_.model_spec().version().value(), 3);
    ASSERT_EQ(classified_.result().classifications_size(), 2);
    ASSERT_EQ(classified_.result().classifications(0).classes_size(), 2);
    EXPECT_EQ(classified_.result().classifications(0).classes(1).score(), 0.75F);
    EXPECT_EQ(classified_.result().classifications(1).classes(0).label(), "");

    ASSERT_EQ(Regress(RequestFor<RegressionRequest>("number", {{2}, {-1}})), OkStatus());
    EXPECT_EQ(regressed_.model_spec().signature_name(), "number");
    ASSERT_EQ(regressed_.result().regressions_size(), 2);
    EXPECT_EQ(regressed_.result().regressions(0).value(), 2);
    EXPECT_EQ(regressed_.result().regressions(1).value(), -1);
  }
}

TEST_F(InferenceServiceTest, TheContextHoldsForAllExamples) {
  RegressionRequest request = RequestFor<RegressionRequest>("number", {});
  auto& input = *request.mutable_input()->mutable_example_list_with_context();
  AddFloats(*input.mutable_context(), {7});
  input.add_examples();
  AddFloats(*input.add_examples(), {8});
  ASSERT_EQ(Regress(request), OkStatus());
  EXPECT_EQ(regressed_.result().regressions(0).value(), 7);
  EXPECT_EQ(regressed_.result().regressions(1).value(), 8);
}

TEST_F(InferenceServiceTest, PiecesOfARequestThatAreRepeatedAreMerged) {
  RegressionRequest first = RequestFor<RegressionRequest>("number", {{1}});
  AddFloats(*first.mutable_input()->mutable_example_list_with_context()->mutable_context(), {7});
  first.mutable_input()->mutable_example_list_with_context()->add_examples();
  RegressionRequest named;
  named.mutable_model_spec()->set_name("m");
  // An input that another follows, and a spec in two pieces.
  FakeGrpcCall call(RequestFor<RegressionRequest>("number", {{1}, {2}}).SerializeAsString() + first.SerializeAsString() + named.SerializeAsString());
  Start("Regress", call);
  ASSERT_EQ(call.Wait(), OkStatus());
  ASSERT_TRUE(regressed_.ParseFromString(call.reply()));
  ASSERT_EQ(regressed_.result().regressions_size(), 1);
  EXPECT_EQ(regressed_.result().regressions(0).value(), 7);
}

TEST_F(InferenceServiceTest, WhatIsBesideTheInputIsShort) {
  RegressionRequest request = RequestFor<RegressionRequest>("number", {{1}});
  request.mutable_model_spec()->set_version_label(std::string(size_t{64} << 10, 'l'));
  EXPECT_EQ(Regress(request), ResourceExhaustedError("a tensorflow.serving.RegressionRequest has more than 65536 bytes beside its input"));
}

TEST_F(InferenceServiceTest, WhoRunsARequestMayKeepItLongerThanItsServable) {
  RunDone kept;
  servable_->on_run = [&kept](const RunRequest& request, RunDone done) {
    done(OkStatus(), request.inputs);
    kept = std::move(done);
  };
  const int64_t before = servable_.use_count();
  ASSERT_EQ(Regress(RequestFor<RegressionRequest>("number", {{1}})), OkStatus());
  ASSERT_TRUE(kept);
  EXPECT_EQ(servable_.use_count(), before);
}

TEST_F(InferenceServiceTest, ALargeRequestIsParsedOnAWorker) {
  std::thread::id ran_on;
  servable_->on_run = [&](const RunRequest& request, const RunDone& done) {
    ran_on = std::this_thread::get_id();
    done(OkStatus(), request.inputs);
  };
  RegressionRequest request = RequestFor<RegressionRequest>("number", {{2}});
  ASSERT_EQ(Regress(request), OkStatus());
  EXPECT_EQ(ran_on, std::this_thread::get_id());
  tensorflow::Example& example = *request.mutable_input()->mutable_example_list()->mutable_examples(0);
  (*example.mutable_features()->mutable_feature())["unused"].mutable_bytes_list()->add_value(std::string(kMaxInlineBodyBytes, 'u'));
  ASSERT_EQ(Regress(request), OkStatus());
  EXPECT_NE(ran_on, std::this_thread::get_id());
}

TEST_F(InferenceServiceTest, WhatIsWrongWithARequest) {
  EXPECT_EQ(Classify({}), InvalidArgumentError("Missing ModelSpec"));
  ClassificationRequest request = RequestFor<ClassificationRequest>("s", {});
  EXPECT_EQ(Classify(request), InvalidArgumentError("No signature was found with the name: s"));
  request.mutable_model_spec()->clear_signature_name();
  EXPECT_EQ(Classify(request), InvalidArgumentError("Input is empty."));
  request.mutable_input()->mutable_example_list()->add_examples();
  EXPECT_EQ(Classify(request), InvalidArgumentError("example 0: Feature: x (data type: float) is required but could not be found."));
  request.mutable_model_spec()->mutable_version()->set_value(0);
  EXPECT_EQ(Classify(request), NotFoundError("Servable not found for request: Specific(m, 0)"));
  request.mutable_model_spec()->clear_name();
  EXPECT_EQ(Classify(request), InvalidArgumentError("ModelSpec has no name specified."));
  EXPECT_EQ(Regress(RequestFor<RegressionRequest>("text", {{1}})), InvalidArgumentError("Expected output Tensor of DT_FLOAT.  Got: DT_STRING"));
  EXPECT_EQ(servable_->runs, 0);
  FakeGrpcCall garbage("\xff\xff\xff");
  Start("Regress", garbage);
  EXPECT_EQ(garbage.Wait(), InvalidArgumentError("the request is not a valid tensorflow.serving.RegressionRequest"));
}

TEST_F(InferenceServiceTest, NothingRunsForAClientThatHasGoneOrPastTheDeadline) {
  const std::string request = RequestFor<ClassificationRequest>("", {{1, 2}}).SerializeAsString();
  FakeGrpcCall gone(request);
  gone.Cancel();
  Start("Classify", gone);
  EXPECT_EQ(gone.Wait().code(), StatusCode::kCancelled);
  FakeGrpcCall late(request);
  late.set_deadline(Clock::Steady().Now());
  Start("Classify", late);
  EXPECT_EQ(late.Wait().code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(servable_->runs, 0);
}

MultiInferenceRequest TwoTasks() {
  MultiInferenceRequest request;
  AddTask(request, "number", kRegressMethodName);
  AddTask(request, "one", kClassifyMethodName);
  for (const float value : {5.0F, 6.0F}) AddFloats(*request.mutable_input()->mutable_example_list()->add_examples(), {value});
  return request;
}

void CheckTwoResults(const MultiInferenceResponse& response) {
  ASSERT_EQ(response.results_size(), 2);
  EXPECT_EQ(response.results(0).model_spec().signature_name(), "number");
  EXPECT_EQ(response.results(0).model_spec().version().value(), 3);
  ASSERT_EQ(response.results(0).regression_result().regressions_size(), 2);
  EXPECT_EQ(response.results(0).regression_result().regressions(1).value(), 6);
  EXPECT_EQ(response.results(1).model_spec().signature_name(), "one");
  ASSERT_EQ(response.results(1).classification_result().classifications_size(), 2);
  EXPECT_EQ(response.results(1).classification_result().classifications(0).classes(0).score(), 5);
}

TEST_F(InferenceServiceTest, MultiInferenceAnswersInTheOrderOfItsTasks) {
  ASSERT_EQ(Infer(TwoTasks()), OkStatus());
  CheckTwoResults(inferred_);
  EXPECT_EQ(servable_->runs, 2);
}

TEST_F(InferenceServiceTest, TheRunsOfMultiInferenceMayEndLaterAndInAnyOrder) {
  std::vector<std::function<void()>> ends;
  std::promise<void> both_started;
  servable_->on_run = [&](const RunRequest& request, const RunDone& done) {
    ends.push_back([request, done] { done(OkStatus(), request.inputs); });
    if (ends.size() == 2) both_started.set_value();
  };
  FakeGrpcCall call(TwoTasks().SerializeAsString());
  Start("MultiInference", call);
  both_started.get_future().wait();
  std::jthread([&] { ends[1](); }).join();
  std::jthread([&] { ends[0](); }).join();
  ASSERT_EQ(call.Wait(), OkStatus());
  MultiInferenceResponse response;
  ASSERT_TRUE(response.ParseFromString(call.reply()));
  CheckTwoResults(response);
}

TEST_F(InferenceServiceTest, OfSeveralFailedRunsTheFirstTasksIsReported) {
  servable_->on_run = [](const RunRequest& request, const RunDone& done) { done(InternalError(request.signature->key + " broke"), {}); };
  EXPECT_EQ(Infer(TwoTasks()), InternalError("number broke"));
}

TEST_F(InferenceServiceTest, WhatIsWrongWithMultiInference) {
  MultiInferenceRequest request;
  EXPECT_EQ(Infer(request), InvalidArgumentError("ModelSpec has no name specified."));
  AddTask(request, "number", kRegressMethodName, "none");
  EXPECT_EQ(Infer(request), NotFoundError("Servable not found for request: Latest(none)"));
  const auto with_second = [](const std::string& signature, std::string_view method, const std::string& model) {
    MultiInferenceRequest two;
    AddTask(two, "number", kRegressMethodName);
    AddTask(two, signature, method, model);
    return two;
  };
  EXPECT_EQ(Infer(with_second("", kClassifyMethodName, "")), InvalidArgumentError("Found ModelSpec with an empty model name."));
  EXPECT_EQ(Infer(with_second("", kClassifyMethodName, "other")),
            InvalidArgumentError("All ModelSpecs in a MultiInferenceRequest must access the same model name."));
  EXPECT_EQ(Infer(with_second("number", kClassifyMethodName, "m")), InvalidArgumentError("Duplicate evaluation of signature: number"));
  EXPECT_EQ(Infer(with_second("s", kClassifyMethodName, "m")), InvalidArgumentError("Requested signature not found in model graph: s"));
  EXPECT_EQ(Infer(with_second("one", kPredictMethodName, "m")), UnimplementedError("Unsupported signature method_name: tensorflow/serving/predict"));
  EXPECT_EQ(Infer(with_second("text", kRegressMethodName, "m")), InvalidArgumentError("Expected output Tensor of DT_FLOAT.  Got: DT_STRING"));
  EXPECT_EQ(Infer(with_second("one", kClassifyMethodName, "m")), InvalidArgumentError("Input is empty."));
  EXPECT_EQ(servable_->runs, 0);
}

TEST_F(InferenceServiceTest, MethodNamesCountOnlyWithTheFlag) {
  UseOptions({.check_method_names = true});
  const Status refused =
      InvalidArgumentError("Expected regression signature method_name to be tensorflow/serving/regress. Was: tensorflow/serving/predict");
  EXPECT_EQ(Regress(RequestFor<RegressionRequest>("number", {{2}})), refused);
  EXPECT_EQ(Infer(TwoTasks()), refused);
}

}  // namespace
}  // namespace tflite_serving
