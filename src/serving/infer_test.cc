// Classify and Regress from Examples to results: classify.h, regress.h and infer.h.
#include "serving/infer.h"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "example/example_builder.h"
#include "servable/fake_servable.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

constexpr InferenceMethod kClassify = InferenceMethod::kClassify;
constexpr InferenceMethod kRegress = InferenceMethod::kRegress;

TensorSpec Output(const std::string& name, DType dtype = DType::kFloat, std::optional<Quantization> quantization = {}) {
  return {.name = name, .dtype = dtype, .shape = {-1, -1}, .quantization = quantization};
}
// serving_default: x float[?] -> the outputs.
Signature WithOutputs(const std::vector<TensorSpec>& outputs) {
  return {.key = "serving_default", .inputs = {{.name = "x", .dtype = DType::kFloat, .shape = {-1}}}, .outputs = outputs};
}

template <typename T>
Tensor Values(DType dtype, const Shape& shape, const std::vector<T>& values) {
  Tensor tensor = *Tensor::Create(dtype, shape);
  EXPECT_EQ(tensor.bytes().size(), values.size() * sizeof(T));
  std::memcpy(tensor.bytes().data(), values.data(), tensor.bytes().size());
  return tensor;
}
Tensor Strings(const Shape& shape, const std::vector<std::string>& values) {
  StringTensorBuilder builder;
  EXPECT_TRUE(builder.Start(static_cast<int64_t>(values.size())).ok());
  for (const std::string& value : values) EXPECT_TRUE(builder.Add(value).ok());
  return {DType::kString, shape, builder.Finish()};
}

class InferTest : public testing::Test {
 protected:
  // "OK" with the result in classes_ or numbers_, or the message of an INVALID_ARGUMENT.
  template <typename... Tensors>
  std::string Run(InferenceMethod method, const Signature& signature, size_t num_examples, Tensors... outputs) {
    if (const Status status = CheckInferSignature(method, signature, false); !status.ok()) return Message(status);
    FakeServable servable({"m", 1}, {signature});
    servable.on_run = [&](const RunRequest&, const RunDone& done) { done(OkStatus(), std::vector<TensorView>{outputs.view()...}); };
    SerializedExamples examples;
    for (size_t i = 0; i < num_examples; ++i) EXPECT_TRUE(examples.Add(Example({{"x", Floats({1})}})).ok());
    std::vector<Tensor> inputs;
    std::vector<TensorView> views;
    std::string message;
    Infer({.method = method, .servable = servable, .signature = servable.signatures()[0], .examples = examples, .inputs = inputs, .views = views},
          Clock::Steady(), [&](const Status& status, const InferenceResult& result) {
            message = status.ok() ? "OK" : Message(status);
            if (status.ok()) Keep(result);
          });
    return message;
  }

  static std::string Message(const Status& status) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
    return status.message();
  }

  void Keep(const InferenceResult& result) {
    classes_.clear();
    numbers_.clear();
    if (const auto* regressions = std::get_if<Regressions>(&result)) numbers_ = regressions->values;
    if (const auto* classifications = std::get_if<Classifications>(&result)) {
      EXPECT_EQ(classifications->num_examples * classifications->classes_per_example, classifications->classes.size());
      for (const ClassScore& one : classifications->classes) classes_.emplace_back(one.label, one.score);
    }
  }

  std::vector<std::pair<std::string, float>> classes_;
  std::vector<float> numbers_;
};

using Class = std::pair<std::string, float>;

TEST_F(InferTest, ClassesAndScores) {
  EXPECT_EQ(Run(kClassify, WithOutputs({Output("scores"), Output("classes", DType::kString)}), 2,
                Values<float>(DType::kFloat, {2, 2}, {0.25F, 0.75F, 1, 0}), Strings({2, 2}, {"a", "b", "c", "d"})),
            "OK");
  EXPECT_THAT(classes_, ElementsAre(Class("a", 0.25F), Class("b", 0.75F), Class("c", 1), Class("d", 0)));
  EXPECT_EQ(Run(kClassify, WithOutputs({Output("classes", DType::kString)}), 1, Strings({1, 2}, {"a", "b"})), "OK");
  EXPECT_THAT(classes_, ElementsAre(Class("a", 0), Class("b", 0)));
}

TEST_F(InferTest, ScoresAloneHaveTheModelsLabelsOrNone) {
  Signature signature = WithOutputs({Output("scores")});
  EXPECT_EQ(Run(kClassify, signature, 2, Values<float>(DType::kFloat, {2, 2}, {0, 1, 2, 3})), "OK");
  EXPECT_THAT(classes_, ElementsAre(Class("", 0), Class("", 1), Class("", 2), Class("", 3)));
  signature.outputs[0].class_labels = {"cat"};
  EXPECT_EQ(Run(kClassify, signature, 2, Values<float>(DType::kFloat, {2, 2}, {0, 1, 2, 3})), "OK");
  EXPECT_THAT(classes_, ElementsAre(Class("cat", 0), Class("", 1), Class("cat", 2), Class("", 3))) << "the second class has no label";
}

TEST_F(InferTest, TheOnlyOutputHasTheScoresWhateverItsNameAndItsScale) {
  EXPECT_EQ(Run(kClassify, WithOutputs({Output("probabilities", DType::kInt8, Quantization{0.5F, -128})}), 1,
                Values<int8_t>(DType::kInt8, {1, 2}, {-128, -126})),
            "OK");
  EXPECT_THAT(classes_, ElementsAre(Class("", 0), Class("", 1)));
}

TEST_F(InferTest, SignaturesThatCannotClassify) {
  EXPECT_EQ(Run(kClassify, WithOutputs({Output("scores"), Output("classes"), Output("z")}), 1), "Expected one or two output Tensors, found 3");
  EXPECT_EQ(Run(kClassify, WithOutputs({}), 1), "Expected one or two output Tensors, found 0");
  const std::string neither = R"(Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: )";
  EXPECT_EQ(Run(kClassify, WithOutputs({Output("y"), Output("z")}), 1), neither + "serving_default: x float[?] -> y float[?,?], z float[?,?]");
  EXPECT_THAT(Run(kClassify, WithOutputs({Output("y", DType::kInt64)}), 1), StartsWith(neither));
  EXPECT_EQ(Run(kClassify, WithOutputs({Output("classes", DType::kInt64)}), 1), "Expected classes Tensor of DT_STRING. Got: DT_INT64");
  EXPECT_EQ(Run(kClassify, WithOutputs({Output("scores", DType::kInt32)}), 1), "Expected scores Tensor of DT_FLOAT. Got: DT_INT32");
}

TEST_F(InferTest, OutputsThatAreNoClasses) {
  const Signature signature = WithOutputs({Output("classes", DType::kString), Output("scores")});
  const auto strings = [](const Shape& shape, size_t count) { return Strings(shape, std::vector<std::string>(count, "c")); };
  const auto floats = [](const Shape& shape, size_t count) { return Values(DType::kFloat, shape, std::vector<float>(count)); };
  EXPECT_EQ(Run(kClassify, signature, 2, strings({2}, 2), floats({2, 1}, 2)), "Expected Tensor shape: [batch_size num_classes] but got [2]");
  EXPECT_EQ(Run(kClassify, signature, 2, strings({2, 1}, 2), floats({2}, 2)), "Expected Tensor shape: [batch_size num_classes] but got [2]");
  EXPECT_EQ(Run(kClassify, signature, 2, strings({1, 1}, 1), floats({2, 1}, 2)), "Expected classes output batch size of 2. Got: 1");
  EXPECT_EQ(Run(kClassify, signature, 2, strings({2, 1}, 2), floats({3, 1}, 3)), "Expected scores output batch size of 2. Got: 3");
  EXPECT_EQ(Run(kClassify, signature, 2, strings({2, 2}, 4), floats({2, 3}, 6)), "Tensors class and score should match in dim_size(1). Got 2 vs. 3");
}

TEST_F(InferTest, OneAnswerHasALimitedNumberOfClasses) {
  const auto classify = [&](size_t num_classes) {
    FakeServable servable({"m", 1}, {WithOutputs({Output("scores")})});
    servable.on_run = [&](const RunRequest&, const RunDone& done) {
      const Tensor scores = *Tensor::Create(DType::kUint8, {static_cast<int64_t>(num_classes * sizeof(float))});
      done(OkStatus(), std::vector<TensorView>{{DType::kFloat, {2, static_cast<int64_t>(num_classes / 2)}, scores.view().bytes}});
    };
    SerializedExamples examples;
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(examples.Add(Example({{"x", Floats({1})}})).ok());
    std::vector<Tensor> inputs;
    std::vector<TensorView> views;
    StatusCode code = StatusCode::kInternal;
    Infer({.method = kClassify, .servable = servable, .signature = servable.signatures()[0], .examples = examples, .inputs = inputs, .views = views},
          Clock::Steady(), [&](const Status& status, const InferenceResult&) { code = status.code(); });
    return code;
  };
  EXPECT_EQ(classify(kMaxClassScores), StatusCode::kOk);
  EXPECT_EQ(classify(kMaxClassScores + 2), StatusCode::kResourceExhausted);
}

TEST_F(InferTest, Numbers) {
  EXPECT_EQ(Run(kRegress, WithOutputs({Output("outputs")}), 2, Values<float>(DType::kFloat, {2}, {1.5F, -2})), "OK");
  EXPECT_THAT(numbers_, ElementsAre(1.5F, -2));
  EXPECT_EQ(Run(kRegress, WithOutputs({Output("y", DType::kUint8, Quantization{2, 1})}), 2, Values<uint8_t>(DType::kUint8, {2, 1}, {0, 3})), "OK");
  EXPECT_THAT(numbers_, ElementsAre(-2, 4));
}

TEST_F(InferTest, WhatCannotBeRegressed) {
  EXPECT_EQ(Run(kRegress, WithOutputs({Output("outputs"), Output("z")}), 1), "Expected one output Tensor.");
  EXPECT_EQ(Run(kRegress, WithOutputs({Output("outputs", DType::kInt64)}), 1), "Expected output Tensor of DT_FLOAT.  Got: DT_INT64");
  const Signature signature = WithOutputs({Output("outputs")});
  EXPECT_EQ(Run(kRegress, signature, 2, Values(DType::kFloat, {2, 2}, std::vector<float>(4))),
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]");
  EXPECT_EQ(Run(kRegress, signature, 2, Values(DType::kFloat, {}, std::vector<float>(1))),
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got []");
  EXPECT_EQ(Run(kRegress, signature, 2, Values(DType::kFloat, {3}, std::vector<float>(3))),
            "Input batch size did not match output batch size: 2 vs. 3");
}

TEST_F(InferTest, FaultsOfInputsAndRunsArePassedOn) {
  EXPECT_EQ(Run(kRegress, WithOutputs({Output("outputs")}), 0), "Input is empty.");
  Signature other = WithOutputs({Output("outputs")});
  other.inputs[0].shape = {1};
  EXPECT_EQ(Run(kRegress, other, 2), "input \"x\": expected float[1], got float[2]");
}

TEST_F(InferTest, MethodNamesCountOnlyWithTheFlag) {
  Signature signature = WithOutputs({Output("scores")});
  const std::vector<Signature> signatures = {signature};
  EXPECT_TRUE(FindInferSignature(kClassify, signatures, "", false).ok());
  EXPECT_EQ(FindInferSignature(kClassify, signatures, "", true).status(),
            InvalidArgumentError("Expected classification signature method_name to be tensorflow/serving/classify. Was: tensorflow/serving/predict"));
  EXPECT_EQ(CheckInferSignature(kRegress, signature, true),
            InvalidArgumentError("Expected regression signature method_name to be tensorflow/serving/regress. Was: tensorflow/serving/predict"));
  signature.method_name = kClassifyMethodName;
  EXPECT_TRUE(CheckInferSignature(kClassify, signature, true).ok());
  EXPECT_EQ(FindInferSignature(kClassify, signatures, "", false).value(), signatures.data());
  EXPECT_EQ(FindInferSignature(kClassify, signatures, "s", false).status(), InvalidArgumentError("No signature was found with the name: s"));
  EXPECT_EQ(FindInferSignature(kClassify, {}, "", false).status(), InvalidArgumentError("No signature was found with the name: serving_default"));
}

}  // namespace
}  // namespace tflite_serving
