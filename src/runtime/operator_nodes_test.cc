#include "runtime/operator_nodes.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temporary_directory.h"
#include "runtime/interpreter.h"
#include "runtime/litert_servable.h"
#include "runtime/model_trial.h"
#include "runtime/sample_inputs.h"
#include "runtime/test_tensors.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kFirst = "TestScale v1 at operator 0 of subgraph 0 \"main\" (output tensor \"half\"): ";

// y = 3 * (2 * x + k) + k, k = [10, 20], with an operator of test_operators.cc; `options` in place of those of its first place.
std::string ModelWith(std::string_view options) {
  std::string bytes = ReadTestModel("refused/library_operators");
  bytes.replace(bytes.find("scale 2."), options.size(), options);
  return bytes;
}

OperatorLibraries Libraries() {
  const std::vector<std::string> paths = {TEST_OPERATORS};
  StatusOr<OperatorLibraries> libraries = OperatorLibraries::Open(paths);
  EXPECT_TRUE(libraries.ok()) << libraries.status().ToString();
  return libraries.ok() ? *std::move(libraries) : OperatorLibraries();
}

std::vector<Tensor> Inputs(const Shape& shape, const std::vector<float>& values) {
  std::vector<Tensor> inputs;
  inputs.push_back(Floats(shape, values));
  return inputs;
}

// What came of one run of a model with these options: its output, or why there is none.
StatusOr<std::vector<float>> RunWith(std::string_view options, const std::vector<float>& x) {
  const std::string bytes = ModelWith(options);
  TFLS_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, Model::Open("m", AsBytes(bytes), Libraries()));
  TFLS_ASSIGN_OR_RETURN(const std::unique_ptr<Interpreter> interpreter, Interpreter::Create(*model, {}));
  const std::vector<Tensor> inputs = Inputs({static_cast<int64_t>(x.size()) / 2, 2}, x);
  TFLS_ASSIGN_OR_RETURN(const std::span<const TensorView> outputs, interpreter->Run(0, ViewsOf(inputs), kNoDeadline));
  return ValuesOf<float>(outputs[0]);
}

TEST(OperatorNodesTest, EachPlaceHasItsOptions) {
  const StatusOr<std::vector<float>> y = RunWith("scale 2.", {1, 2, 3, 4});
  ASSERT_TRUE(y.ok()) << y.status().ToString();
  EXPECT_THAT(*y, ElementsAre(46, 92, 58, 104));
  EXPECT_THAT(*RunWith("scale 5.", {1, 2}), ElementsAre(55, 110));
}

TEST(OperatorNodesTest, AFailedRunIsTheRequestsAlone) {
  const std::string bytes = ModelWith("scale 2.");
  const auto model = Model::Open("m", AsBytes(bytes), Libraries());
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  const auto interpreter = Interpreter::Create(**model, {});
  for (const float x : {1.F, -1.F, 1.F}) {
    const std::vector<Tensor> inputs = Inputs({1, 2}, {x, 0});
    const auto outputs = (*interpreter)->Run(0, ViewsOf(inputs), kNoDeadline);
    EXPECT_EQ(outputs.status(), x == 1 ? OkStatus() : OutOfRangeError(std::string(kFirst) + "a value is too small"));
  }
}

TEST(OperatorNodesTest, FailuresAreToldInItsWords) {
  const auto error = [](std::string_view options) { return RunWith(options, {1, 2}).status(); };
  EXPECT_EQ(error("init...."), InvalidArgumentError("m: " + std::string(kFirst) + "no such options"));
  EXPECT_EQ(error("prepare."), ResourceExhaustedError(std::string(kFirst) + "no room"));
  EXPECT_EQ(error("unset..."), InternalError(std::string(kFirst) + "it gave output 0 -1 dimensions"));
  EXPECT_EQ(error("rank...."), InternalError(std::string(kFirst) + "it gave output 0 9 dimensions"));
  EXPECT_EQ(error("zero...."), InternalError(std::string(kFirst) + "it gave output 0 the shape [1,0]"));
  EXPECT_EQ(error("run....."), OutOfRangeError(std::string(kFirst) + "a value is too small"));
}

TEST(OperatorNodesTest, WhatNobodyHasIsRefusedByName) {
  const std::string bytes = ModelWith("scale 2.");
  EXPECT_THAT(Model::Open("m", AsBytes(bytes)).status().message(), HasSubstr("TestScale v1 at operator 0"));
  const std::string other = ReadTestModel("refused/custom_operator");
  EXPECT_THAT(
      Model::Open("m", AsBytes(other), Libraries()).status().message(),
      HasSubstr("MyOperator v1 at operator 0 of subgraph 0 \"main\" (output tensor \"y\"), a custom operator, which no --custom_op_library has"));
}

TEST(OperatorNodesTest, LibrariesThatAreNone) {
  const auto error = [](const std::string& path) { return OperatorLibraries::Open(std::vector<std::string>{path}).status(); };
  EXPECT_EQ(error("/none/libops.so"), InvalidArgumentError("/none/libops.so: No such file or directory"));
  EXPECT_EQ(error(TEST_NO_OPERATORS), InvalidArgumentError(std::string(TEST_NO_OPERATORS) + " exports no function tflite_serving_operators"));
}

StatusOr<std::unique_ptr<LiteRtServable>> Serve(std::string_view options, const std::string& library = TEST_OPERATORS) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("model.tflite", ModelWith(options));
  return LiteRtServable::Create({"m", 1}, path, {.trial_program = TRIAL_PROGRAM, .custom_op_libraries = {library}});
}

TEST(OperatorNodesTest, AServableIsTriedWithItsLibraries) {
  const auto servable = Serve("scale 2.");
  ASSERT_TRUE(servable.ok()) << servable.status().ToString();
  EXPECT_TRUE((*servable)->batchable(0)) << (*servable)->WhyNotBatchable(0);
  EXPECT_FALSE((*servable)->RunsInline(1));
  EXPECT_THAT(Serve("crash...").status().message(), HasSubstr("the model ended the process that tried it (SIGABRT)"));
  EXPECT_THAT(Serve("init....").status().message(), HasSubstr("no such options"));
  EXPECT_THAT(Serve("scale 2.", "/none/libops.so").status().message(), HasSubstr(".tflite: /none/libops.so: No such file or directory"));
}

}  // namespace
}  // namespace tflite_serving
