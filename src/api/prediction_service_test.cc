#include "api/prediction_service.h"

#include <map>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/fake_calls.h"
#include "codec/tensor_proto_decoder.h"
#include "servable/fake_servable.h"
#include "servable/fake_servable_source.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "tensorflow_serving/apis/get_model_metadata.pb.h"
#include "tensorflow_serving/apis/predict.pb.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;

class PredictionServiceTest : public testing::Test {
 protected:
  PredictionServiceTest() {
    for (GrpcMethod& method : prediction_.methods()) handlers_[method.path] = method.handler;
  }

  template <typename Response>
  Status Call(const std::string& path, const google::protobuf::MessageLite& request, Response& response, TimePoint deadline = kNoDeadline) {
    FakeGrpcCall call(request.SerializeAsString());
    call.set_deadline(deadline);
    handlers_.at(path)(call);
    const Status status = call.Wait();
    EXPECT_TRUE(!status.ok() || response.ParseFromString(call.reply()));
    return status;
  }
  Status Predict(const tensorflow::serving::PredictRequest& request, tensorflow::serving::PredictResponse& response,
                 TimePoint deadline = kNoDeadline) {
    return Call("/tensorflow.serving.PredictionService/Predict", request, response, deadline);
  }
  static tensorflow::serving::PredictRequest FloatRequest(const std::vector<float>& values) {
    tensorflow::serving::PredictRequest request;
    request.mutable_model_spec()->set_name("m");
    tensorflow::TensorProto& x = (*request.mutable_inputs())["x"];
    x.set_dtype(tensorflow::DT_FLOAT);
    x.mutable_tensor_shape()->add_dim()->set_size(static_cast<int64_t>(values.size()));
    for (const float value : values) x.add_float_val(value);
    return request;
  }

  std::shared_ptr<FakeServable> servable_ =
      std::make_shared<FakeServable>(ServableId{"m", 3}, std::vector<Signature>{IdentitySignature(DType::kFloat, {-1})});
  FakeServableSource source_{{servable_}};
  WorkerPool workers_{"worker", 1, 1};
  PredictionService prediction_{source_, workers_, Clock::Steady(), {}};
  std::map<std::string, GrpcHandler> handlers_;
};

TEST_F(PredictionServiceTest, PredictAnswersAndEchoesTheModelSpec) {
  for (const bool runs_inline : {true, false}) {
    servable_->runs_inline = runs_inline;
    tensorflow::serving::PredictResponse response;
    const Status status = Predict(FloatRequest({1.5F, 2.5F}), response);
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_THAT(response.outputs().at("y").float_val(), testing::ElementsAre(1.5F, 2.5F));
    EXPECT_EQ(response.model_spec().name(), "m");
    EXPECT_EQ(response.model_spec().version().value(), 3);
    EXPECT_EQ(response.model_spec().signature_name(), "serving_default");
  }
}

TEST_F(PredictionServiceTest, PredictErrors) {
  tensorflow::serving::PredictResponse response;
  EXPECT_EQ(Predict({}, response), InvalidArgumentError("Missing ModelSpec"));
  tensorflow::serving::PredictRequest request = FloatRequest({1});
  request.mutable_model_spec()->set_name("");
  request.mutable_model_spec()->set_signature_name("s");
  EXPECT_EQ(Predict(request, response), InvalidArgumentError("ModelSpec has no name specified."));
  request.mutable_model_spec()->set_name("m");
  EXPECT_EQ(Predict(request, response), FailedPreconditionError("Serving signature key \"s\" not found."));
  request = FloatRequest({1});
  request.mutable_model_spec()->mutable_version()->set_value(0);
  EXPECT_EQ(Predict(request, response), NotFoundError("Servable not found for request: Specific(m, 0)"));
  request = FloatRequest({1});
  request.add_output_filter("z");
  EXPECT_THAT(Predict(request, response).message(), HasSubstr("output tensor alias not found in signature: z"));
  request = FloatRequest({1});
  (*request.mutable_inputs())["x"].set_dtype(tensorflow::DT_INT32);
  EXPECT_EQ(Predict(request, response).message(), "input \"x\": expected float[?], got int32[1]");
  EXPECT_EQ(Predict(FloatRequest({1}), response, Clock::Steady().Now()).code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(servable_->runs, 0);
}

// x float[elements], all of them alike.
void AddFilled(tensorflow::serving::PredictRequest& request, const std::string& name, size_t elements) {
  tensorflow::TensorProto& x = (*request.mutable_inputs())[name];
  x.set_dtype(tensorflow::DT_FLOAT);
  x.mutable_tensor_shape()->add_dim()->set_size(static_cast<int64_t>(elements));
  x.add_float_val(7);
}

TEST_F(PredictionServiceTest, WhatIsFilledUpIsCounted) {
  constexpr size_t kElements = 1 << 20;
  tensorflow::serving::PredictRequest request;
  request.mutable_model_spec()->set_name("m");
  AddFilled(request, "x", kElements);
  FakeGrpcCall call(request.SerializeAsString());
  handlers_.at("/tensorflow.serving.PredictionService/Predict")(call);
  EXPECT_TRUE(call.Wait().ok());
  EXPECT_EQ(call.held_bytes, kElements * sizeof(float) - call.request_size_bytes());
  FakeGrpcCall refused(request.SerializeAsString());
  refused.may_hold = UnavailableError("no memory");
  handlers_.at("/tensorflow.serving.PredictionService/Predict")(refused);
  EXPECT_EQ(refused.Wait(), UnavailableError("no memory"));
  EXPECT_EQ(servable_->runs, 1);
}

class JsonServable : public FakeServable {
 public:
  JsonServable() : FakeServable({"json", 1}, {}) {}
  bool TakesJson() const override { return true; }
  void RunJson(const JsonRunRequest& /*request*/, JsonRunDone done) override {
    ++runs;
    done(OkStatus(), {.text = R"({"predictions": [1]})"});
  }
};

TEST_F(PredictionServiceTest, TheInputsOfJsonAreFilledUpSoFar) {
  constexpr size_t kHalf = kMaxFilledTensorBytes / sizeof(float) / 2;
  const auto servable = std::make_shared<JsonServable>();
  FakeServableSource source{{servable}};
  PredictionService prediction(source, workers_, Clock::Steady(), {});
  const auto predict = [&](std::initializer_list<const char*> inputs) {
    tensorflow::serving::PredictRequest request;
    request.mutable_model_spec()->set_name("json");
    for (const char* name : inputs) AddFilled(request, name, kHalf);
    FakeGrpcCall call(request.SerializeAsString());
    prediction.methods()[0].handler(call);
    return call.Wait();
  };
  EXPECT_TRUE(predict({"a"}).ok());
  EXPECT_EQ(predict({"a", "b", "c"}),
            InvalidArgumentError("the inputs have fewer values than elements, for which the limit is 67108864 bytes of all"));
  EXPECT_EQ(servable->runs, 1);
}

TEST_F(PredictionServiceTest, GarbageIsNoRequest) {
  FakeGrpcCall call("\xff\xff\xff");
  handlers_.at("/tensorflow.serving.PredictionService/Predict")(call);
  EXPECT_EQ(call.Wait().code(), StatusCode::kInvalidArgument);
  FakeGrpcCall metadata("\xff\xff\xff");
  handlers_.at("/tensorflow.serving.PredictionService/GetModelMetadata")(metadata);
  EXPECT_EQ(metadata.Wait(), InvalidArgumentError("the request is not a valid tensorflow.serving.GetModelMetadataRequest"));
}

TEST_F(PredictionServiceTest, GetModelMetadata) {
  const std::string path = "/tensorflow.serving.PredictionService/GetModelMetadata";
  tensorflow::serving::GetModelMetadataRequest request;
  tensorflow::serving::GetModelMetadataResponse response;
  EXPECT_EQ(Call(path, request, response), InvalidArgumentError("Missing ModelSpec"));
  request.mutable_model_spec()->set_name("m");
  EXPECT_EQ(Call(path, request, response), InvalidArgumentError("GetModelMetadataRequest must specify at least one metadata_field"));
  request.add_metadata_field("other");
  EXPECT_EQ(Call(path, request, response), InvalidArgumentError("Metadata field other is not supported"));
  request.set_metadata_field(0, "signature_def");
  ASSERT_TRUE(Call(path, request, response).ok());
  EXPECT_EQ(response.model_spec().version().value(), 3);
  tensorflow::serving::SignatureDefMap map;
  ASSERT_TRUE(response.metadata().at("signature_def").UnpackTo(&map));
  const tensorflow::TensorInfo& x = map.signature_def().at("serving_default").inputs().at("x");
  EXPECT_EQ(x.name(), "x:0");
  EXPECT_EQ(x.dtype(), tensorflow::DT_FLOAT);
  EXPECT_EQ(x.tensor_shape().dim(0).size(), -1);
}

}  // namespace
}  // namespace tflite_serving
