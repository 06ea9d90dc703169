#include "api/rest_body.h"

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/fake_calls.h"
#include "api/rest_v1.h"
#include "codec/npy.h"
#include "servable/fake_servable.h"
#include "servable/fake_servable_source.h"
#include "tensorflow_serving/apis/predict.pb.h"

namespace tflite_serving {
namespace {

using tensorflow::serving::PredictRequest;
using tensorflow::serving::PredictResponse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr char kProto[] = "application/x-protobuf";
constexpr char kRaw[] = "application/octet-stream";
constexpr char kNpy[] = "application/x-npy";
constexpr char kJson[] = "application/json";

template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// "m": float[?,2] in and out. "two": the same with inputs a, b and outputs a, b. "text": string[?].
class RestBodyTest : public testing::Test {
 protected:
  struct Answer {
    int status;
    std::string content_type;
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
  };
  Answer Ask(const std::string& target, const std::string& content_type, const std::string& body, const std::string& accept = "") {
    FakeHttpCall call("POST", target, body);
    call.set_content_type(content_type);
    call.set_accept(accept);
    rest_.Handle(call);
    const HttpResponse& response = call.Wait();
    Answer answer{response.status, std::string(response.content_type), response.body, {}};
    for (const auto& [name, value] : response.headers) answer.headers.emplace_back(name, value);
    return answer;
  }
  Answer AskM(const std::string& content_type, const std::string& body, const std::string& accept = "") {
    return Ask("/v1/models/m:predict", content_type, body, accept);
  }
  // The message of a refusal, which must be JSON with that status.
  static std::string Error(int status, const Answer& answer) {
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_EQ(answer.content_type, kJson);
    EXPECT_THAT(answer.headers, ElementsAre());
    return answer.body;
  }

  static std::vector<Signature> TwoByTwo() {
    Signature signature = IdentitySignature(DType::kFloat, {-1, 2});
    signature.inputs = {{"a", "a:0", DType::kFloat, {-1, 2}}, {"b", "b:0", DType::kFloat, {-1, 2}}};
    signature.outputs = signature.inputs;
    Signature other = IdentitySignature(DType::kInt16, {2});
    other.key = "other";
    return {signature, other};
  }

  static PredictRequest Message() {
    PredictRequest request;
    tensorflow::TensorProto& x = (*request.mutable_inputs())["x"];
    x.set_dtype(tensorflow::DT_FLOAT);
    x.mutable_tensor_shape()->add_dim()->set_size(1);
    x.mutable_tensor_shape()->add_dim()->set_size(2);
    x.add_float_val(1.5);
    x.add_float_val(-2);
    return request;
  }

  FakeServableSource source_{
      {std::make_shared<FakeServable>(ServableId{"m", 3}, std::vector<Signature>{IdentitySignature(DType::kFloat, {-1, 2})}),
       std::make_shared<FakeServable>(ServableId{"two", 1}, TwoByTwo()),
       std::make_shared<FakeServable>(ServableId{"text", 1}, std::vector<Signature>{IdentitySignature(DType::kString, {-1})})}};
  WorkerPool workers_{"worker", 1, 1};
  RestV1 rest_{source_, workers_, Clock::Steady(), {.tensor_content_in_replies = true}};
};

TEST(RestFormatTest, ContentTypes) {
  EXPECT_EQ(RequestFormat("application/x-protobuf"), BodyFormat::kProto);
  EXPECT_EQ(RequestFormat("Application/Protobuf ; messageType=\"x\""), BodyFormat::kProto);
  EXPECT_EQ(RequestFormat("application/octet-stream"), BodyFormat::kRaw);
  EXPECT_EQ(RequestFormat(" application/x-npy"), BodyFormat::kNpy);
  for (const char* other : {"", "application/json", "application/x-www-form-urlencoded", "text/plain", "application/x-npy2", "npy", ";", "  "}) {
    EXPECT_EQ(RequestFormat(other), BodyFormat::kJson) << other;
  }
}

TEST(RestFormatTest, TheFirstKnownTypeOfAcceptNamesTheReplys) {
  EXPECT_EQ(ReplyFormat("", BodyFormat::kNpy), BodyFormat::kNpy);
  EXPECT_EQ(ReplyFormat("*/*", BodyFormat::kRaw), BodyFormat::kRaw);
  EXPECT_EQ(ReplyFormat("text/html, application/json;q=0.9, application/x-npy", BodyFormat::kRaw), BodyFormat::kJson);
  EXPECT_EQ(ReplyFormat("application/protobuf", BodyFormat::kJson), BodyFormat::kProto);
  EXPECT_EQ(ReplyFormat(",,application/octet-stream", BodyFormat::kJson), BodyFormat::kRaw);
}

TEST_F(RestBodyTest, ASerializedPredictRequest) {
  const Answer answer = AskM(kProto, Message().SerializeAsString());
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.content_type, kProto);
  PredictResponse response;
  ASSERT_TRUE(response.ParseFromString(answer.body));
  EXPECT_EQ(response.model_spec().name(), "m");
  EXPECT_EQ(response.model_spec().version().value(), 3);
  EXPECT_EQ(response.model_spec().signature_name(), "serving_default");
  EXPECT_EQ(response.outputs().at("y").tensor_content(), BytesOf<float>({1.5, -2}));
}

TEST_F(RestBodyTest, TheMessagesModelSpecCompletesTheUrlsAndMustAgreeWithIt) {
  PredictRequest request = Message();
  request.mutable_model_spec()->set_name("m");
  request.mutable_model_spec()->mutable_version()->set_value(3);
  EXPECT_EQ(AskM(kProto, request.SerializeAsString()).status, 200);
  EXPECT_EQ(Ask("/v1/models/m/versions/3:predict", kProto, request.SerializeAsString()).status, 200);
  EXPECT_THAT(Error(400, Ask("/v1/models/m/versions/4:predict", kProto, request.SerializeAsString())),
              HasSubstr("choose different versions of model"));
  EXPECT_THAT(Error(400, Ask("/v1/models/m/labels/l:predict", kProto, request.SerializeAsString())), HasSubstr("choose different versions of model"));
  request.mutable_model_spec()->mutable_version()->set_value(4);
  EXPECT_THAT(Error(404, AskM(kProto, request.SerializeAsString())), HasSubstr("Servable not found for request: Specific(m, 4)"));
  request.mutable_model_spec()->set_name("other");
  EXPECT_THAT(Error(400, AskM(kProto, request.SerializeAsString())), HasSubstr(R"(the URL names model \"m\", the model_spec of the body \"other\")"));
}

TEST_F(RestBodyTest, FaultsOfAMessage) {
  EXPECT_THAT(Error(400, AskM(kProto, "\xff")), HasSubstr("malformed PredictRequest: "));
  EXPECT_THAT(Error(400, AskM(kProto, "")), HasSubstr("input size does not match signature: 0!=1"));
  EXPECT_THAT(Error(404, Ask("/v1/models/none:predict", kProto, Message().SerializeAsString())), HasSubstr("Latest(none)"));
  PredictRequest request = Message();
  request.mutable_model_spec()->set_signature_name("none");
  EXPECT_THAT(Error(400, AskM(kProto, request.SerializeAsString())), HasSubstr(R"(Serving signature name: \"none\" not found in signature def)"));
  request = Message();
  request.add_output_filter("z");
  EXPECT_THAT(Error(400, AskM(kProto, request.SerializeAsString())),
              HasSubstr("output tensor alias not found in signature: z Outputs expected to be in the set {y}."));
}

TEST_F(RestBodyTest, ARawTensor) {
  const Answer answer = AskM(kRaw, BytesOf<float>({1, 2, 3, 4}));
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.content_type, kRaw);
  EXPECT_EQ(answer.body, BytesOf<float>({1, 2, 3, 4}));
  EXPECT_THAT(answer.headers, ElementsAre(Pair("X-Tensor-Dtype", "float32"), Pair("X-Tensor-Shape", "[2,2]")));
  EXPECT_THAT(Error(400, AskM(kRaw, "123")), HasSubstr(R"(input \"x\": a body for float[?,2] has a multiple of 8 bytes, got 3)"));
  const Answer text = Ask("/v1/models/text:predict", kRaw, "bytes\xff");
  EXPECT_EQ(text.body, "bytes\xff");
  EXPECT_THAT(text.headers, ElementsAre(Pair("X-Tensor-Dtype", "string"), Pair("X-Tensor-Shape", "[1]")));
}

TEST_F(RestBodyTest, AnArrayOfNumPy) {
  const std::string file = NpyHeader(DType::kFloat, {1, 2}) + BytesOf<float>({1, 2});
  const Answer answer = AskM(kNpy, file);
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.content_type, kNpy);
  EXPECT_EQ(answer.body, file);
  EXPECT_THAT(Error(400, AskM(kNpy, NpyHeader(DType::kDouble, {1, 2}) + BytesOf<double>({1, 2}))),
              HasSubstr(R"(input \"x\": expected float[?,2], got double[1,2])"));
  EXPECT_THAT(Error(400, AskM(kNpy, "{}")), HasSubstr("npy: the body does not begin with"));
  EXPECT_THAT(Error(400, Ask("/v1/models/text:predict", kRaw, "x", kNpy)), HasSubstr(R"(output \"y\": a .npy file cannot hold type string)"));
}

TEST_F(RestBodyTest, AcceptChoosesTheReplysFormat) {
  EXPECT_EQ(AskM(kRaw, BytesOf<float>({1, 2.5}), kJson).body, R"({"outputs":[[1.0,2.5]]})");
  EXPECT_EQ(AskM(kJson, R"({"instances": [[1, 2.5]]})", kRaw).body, BytesOf<float>({1, 2.5}));
  EXPECT_EQ(AskM("", R"({"instances": [[1, 2.5]]})", "*/*").body, R"({"predictions":[[1.0,2.5]]})");
  PredictResponse response;
  ASSERT_TRUE(response.ParseFromString(AskM(kJson, R"({"inputs": [[1, 2.5]]})", kProto).body));
  EXPECT_EQ(response.outputs().at("y").tensor_content(), BytesOf<float>({1, 2.5}));
}

TEST_F(RestBodyTest, OneTensorFormatsNeedOneInputAndOneOutput) {
  EXPECT_THAT(Error(400, Ask("/v1/models/two:predict", kRaw, "")),
              HasSubstr(R"(a body of application/octet-stream is one tensor, but signature \"serving_default\" has 2 inputs)"));
  const std::string json = R"({"inputs": {"a": [[1, 2]], "b": [[3, 4]]}})";
  EXPECT_THAT(Error(400, Ask("/v1/models/two:predict", kJson, json, kNpy)),
              HasSubstr(R"(a reply of application/x-npy is one tensor, but signature \"serving_default\" has 2 outputs; choose one with)"));
  EXPECT_EQ(Ask("/v1/models/two:predict", kJson, R"({"output_filter": ["b"], "inputs": {"a": [[1, 2]], "b": [[3, 4]]}})", kRaw).body,
            BytesOf<float>({3, 4}));
}

TEST_F(RestBodyTest, TheQueryNamesSignatureAndOutputs) {
  EXPECT_EQ(Ask("/v1/models/two:predict?signature_name=other", kRaw, BytesOf<int16_t>({7, 8})).body, BytesOf<int16_t>({7, 8}));
  EXPECT_THAT(Error(400, Ask("/v1/models/two:predict?signature_name=none", kRaw, "")), HasSubstr(R"(signature name: \"none\" not found)"));
  EXPECT_THAT(Error(400, Ask("/v1/models/m:predict?output_filter=y,y", kRaw, BytesOf<float>({1, 2}))), HasSubstr("duplicate output tensor alias: y"));
  PredictRequest request;
  for (const char* name : {"a", "b"}) (*request.mutable_inputs())[name] = Message().inputs().at("x");
  const std::string both = Ask("/v1/models/two:predict?output_filter=b,a", kProto, request.SerializeAsString(), kJson).body;
  EXPECT_EQ(both, R"({"outputs":{"b":[[1.5,-2.0]],"a":[[1.5,-2.0]]}})");
  EXPECT_EQ(Ask("/v1/models/two:predict?output_filter=a", kProto, request.SerializeAsString(), kRaw).body, BytesOf<float>({1.5, -2}));
}

TEST_F(RestBodyTest, NothingIsLeftOfTheRequestBefore) {
  EXPECT_EQ(Ask("/v1/models/m:predict?output_filter=y&signature_name=serving_default", kRaw, BytesOf<float>({1, 2})).status, 200);
  const std::string json = R"({"inputs": {"a": [[1, 2]], "b": [[3, 4]]}})";
  EXPECT_EQ(Ask("/v1/models/two:predict", kJson, json).body, R"({"outputs":{"a":[[1.0,2.0]],"b":[[3.0,4.0]]}})");
}

}  // namespace
}  // namespace tflite_serving
