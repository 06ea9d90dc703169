#include "serving/predict.h"

#include <optional>

#include <gtest/gtest.h>

#include "servable/fake_servable.h"

namespace tflite_serving {
namespace {

class PredictTest : public testing::Test {
 protected:
  Status Run(DType dtype, const Shape& shape, TimePoint deadline = kNoDeadline) {
    std::vector<Tensor> inputs;
    inputs.push_back(*Tensor::Create(dtype, shape));
    std::vector<TensorView> views;
    std::optional<Status> result;
    Predict({.servable = servable_,
             .signature = servable_.signatures()[0],
             .inputs = inputs,
             .views = views,
             .deadline = deadline,
             .cancellation = &cancellation_},
            clock_, [&](const Status& status, std::span<const TensorView> outputs) {
              result = status;
              if (status.ok()) output_shape_ = outputs[0].shape;
            });
    return *result;
  }

  class FixedClock : public Clock {
   public:
    TimePoint Now() const override { return TimePoint(std::chrono::seconds(100)); }
  };
  FixedClock clock_;
  FakeServable servable_{{"m", 1}, {IdentitySignature(DType::kFloat, {-1, 1})}};
  Cancellation cancellation_;
  Shape output_shape_;
};

TEST_F(PredictTest, RunsCheckedInputs) {
  EXPECT_TRUE(Run(DType::kFloat, {3}).ok());
  EXPECT_EQ(output_shape_, Shape({3, 1})) << "the servable sees the fitted shape";
}

TEST_F(PredictTest, NothingRunsOnWrongInputs) {
  EXPECT_EQ(Run(DType::kInt32, {3, 1}).message(), "input \"x\": expected float[?,1], got int32[3,1]");
  EXPECT_EQ(servable_.runs, 0);
}

TEST_F(PredictTest, NoRowsAreAnsweredWithNoRows) {
  EXPECT_TRUE(Run(DType::kFloat, {0, 1}).ok());
  EXPECT_EQ(output_shape_, Shape({0, 1}));
  EXPECT_EQ(servable_.runs, 0);
}

TEST_F(PredictTest, WhereRowsMeanNothingTheServableDecides) {
  FakeServable fixed({"m", 1}, {IdentitySignature(DType::kFloat, {2, -1})});
  std::vector<Tensor> inputs;
  inputs.push_back(*Tensor::Create(DType::kFloat, {2, 0}));
  std::vector<TensorView> views;
  Predict({.servable = fixed, .signature = fixed.signatures()[0], .inputs = inputs, .views = views}, clock_,
          [](const Status& status, auto) { EXPECT_TRUE(status.ok()); });
  EXPECT_EQ(fixed.runs, 1);
}

TEST_F(PredictTest, NothingRunsForAClientThatHasGone) {
  cancellation_.Cancel();
  EXPECT_EQ(Run(DType::kFloat, {3, 1}).code(), StatusCode::kCancelled);
  EXPECT_EQ(servable_.runs, 0);
}

TEST_F(PredictTest, MethodNamesCountOnlyWhenAsked) {
  Signature signature = IdentitySignature(DType::kFloat, {-1});
  const auto run = [&](std::string_view method_name, bool check) {
    signature.method_name = method_name;
    FakeServable servable({"m", 1}, {signature});
    std::vector<Tensor> inputs;
    inputs.push_back(*Tensor::Create(DType::kFloat, {1}));
    std::vector<TensorView> views;
    Status result;
    Predict({.servable = servable, .signature = servable.signatures()[0], .inputs = inputs, .views = views, .check_method_name = check}, clock_,
            [&](const Status& status, auto) { result = status; });
    return result;
  };
  EXPECT_TRUE(run(kRegressMethodName, true).ok());
  EXPECT_TRUE(run("other", false).ok());
  EXPECT_EQ(run("other", true), InternalError("Expected prediction signature method_name to be one of {tensorflow/serving/predict, "
                                              "tensorflow/serving/classify, tensorflow/serving/regress}. Was: other"));
}

TEST_F(PredictTest, NothingRunsPastTheDeadline) {
  EXPECT_EQ(Run(DType::kFloat, {3, 1}, clock_.Now()).code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(servable_.runs, 0);
  EXPECT_TRUE(Run(DType::kFloat, {3, 1}, clock_.Now() + std::chrono::nanoseconds(1)).ok());
}

}  // namespace
}  // namespace tflite_serving
