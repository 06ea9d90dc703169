// :classify and :regress through RestV1's routes.
#include <memory>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/fake_calls.h"
#include "api/rest_v1.h"
#include "servable/fake_servable.h"
#include "servable/fake_servable_source.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;

class RestInferenceTest : public testing::Test {
 protected:
  struct Answer {
    int status;
    std::string body;
  };
  Answer Ask(const std::string& verb, const std::string& body, const std::string& model = "m") {
    FakeHttpCall call("POST", "/v1/models/" + model + ":" + verb, body);
    rest_.Handle(call);
    const HttpResponse& response = call.Wait();
    return {response.status, response.body};
  }

  // x float[?,2] -> y float[?,2], and one for numbers.
  static std::vector<Signature> Signatures() {
    Signature number = IdentitySignature(DType::kFloat, {-1, 1});
    number.key = "number";
    return {IdentitySignature(DType::kFloat, {-1, 2}), number};
  }

  std::shared_ptr<FakeServable> servable_ = std::make_shared<FakeServable>(ServableId{"m", 3}, Signatures());
  FakeServableSource source_{{servable_}};
  WorkerPool workers_{"worker", 1, 1};
  RestV1 rest_{source_, workers_, Clock::Steady(), {}};
};

TEST_F(RestInferenceTest, AnswersHereAndOnAWorker) {
  for (const bool runs_inline : {true, false}) {
    servable_->runs_inline = runs_inline;
    const Answer classes = Ask("classify", R"({"examples": [{"x": [0.25, 0.75]}, {"x": [1, 0]}]})");
    EXPECT_EQ(classes.status, 200);
    EXPECT_EQ(classes.body, R"({"results":[[["",0.25],["",0.75]],[["",1.0],["",0.0]]]})");
    EXPECT_EQ(Ask("regress", R"({"signature_name": "number", "examples": [{"x": 3.5}, {"x": 4}]})").body, R"({"results":[3.5,4.0]})");
  }
  EXPECT_EQ(Ask("regress", R"({"signature_name": "number", "examples": [{}, {"x": 4}], "context": {"x": 1}})", "m/versions/3").body,
            R"({"results":[1.0,4.0]})");
}

TEST_F(RestInferenceTest, FaultsAreReportedInTheOriginalsOrder) {
  const Answer body = Ask("classify", R"({"signature_name": "none", "examples": 5})", "none");
  EXPECT_EQ(body.status, 400);
  EXPECT_THAT(body.body, HasSubstr("Expecting 'examples' value to be an list/array"));
  const Answer model = Ask("classify", R"({"signature_name": "none", "examples": [{}]})", "none");
  EXPECT_EQ(model.status, 404);
  EXPECT_THAT(model.body, HasSubstr("Servable not found for request: Latest(none)"));
  const Answer signature = Ask("classify", R"({"signature_name": "none", "examples": [{}]})");
  EXPECT_EQ(signature.status, 400);
  EXPECT_THAT(signature.body, HasSubstr("No signature was found with the name: none"));
  const Answer example = Ask("classify", R"({"examples": [{}]})");
  EXPECT_EQ(example.status, 400);
  EXPECT_THAT(example.body, HasSubstr("example 0: Feature: x (data type: float) is required but could not be found."));
  EXPECT_EQ(servable_->runs, 0);
}

TEST_F(RestInferenceTest, AFailedRunIsReportedWithItsCode) {
  servable_->on_run = [](const RunRequest&, const RunDone& done) { done(InternalError("it broke"), {}); };
  const Answer answer = Ask("classify", R"({"examples": [{"x": [1, 2]}]})");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body, "{\n    \"error\": \"it broke\"\n}");
}

TEST_F(RestInferenceTest, NothingRunsForAClientThatHasGoneOrPastTheDeadline) {
  FakeHttpCall gone("POST", "/v1/models/m:classify", R"({"examples": [{"x": [1, 2]}]})");
  gone.Cancel();
  rest_.Handle(gone);
  EXPECT_EQ(gone.Wait().status, 499);

  class LateClock : public Clock {
   public:
    TimePoint Now() const override { return Clock::Steady().Now() + std::chrono::hours(1); }
  };
  const LateClock late;
  RestV1 rest(source_, workers_, late, {.timeout = std::chrono::milliseconds(1)});
  FakeHttpCall call("POST", "/v1/models/m:classify", R"({"examples": [{"x": [1, 2]}]})");
  rest.Handle(call);
  EXPECT_EQ(call.Wait().status, 504);
  EXPECT_EQ(servable_->runs, 0);
}

TEST_F(RestInferenceTest, MethodNamesCountOnlyWithTheFlag) {
  RestV1 rest(source_, workers_, Clock::Steady(), {.check_method_names = true});
  FakeHttpCall call("POST", "/v1/models/m:classify", R"({"examples": [{"x": [1, 2]}]})");
  rest.Handle(call);
  EXPECT_THAT(call.Wait().body, HasSubstr("Expected classification signature method_name to be tensorflow/serving/classify."));
  FakeHttpCall predict("POST", "/v1/models/m:predict", R"({"instances": [[1, 2]]})");
  rest.Handle(predict);
  EXPECT_EQ(predict.Wait().status, 200);
}

}  // namespace
}  // namespace tflite_serving
