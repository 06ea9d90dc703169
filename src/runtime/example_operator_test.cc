#include "runtime/example_operator.h"

#include <list>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/graph_edit.h"
#include "runtime/interpreter.h"
#include "runtime/sample_inputs.h"
#include "runtime/test_tensors.h"
#include "wire/message_builder.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

MessageBuilder FloatFeature(std::initializer_list<float> values) { return MessageBuilder().Message(2, MessageBuilder().PackedFixed(1, values)); }
MessageBuilder Int64Feature(std::initializer_list<int64_t> values) { return MessageBuilder().Message(3, MessageBuilder().PackedVarints(1, values)); }
MessageBuilder BytesFeature(std::initializer_list<std::string> values) {
  MessageBuilder list;
  for (const std::string& value : values) list.Delimited(1, value);
  return MessageBuilder().Message(1, list);
}

std::string Example(std::initializer_list<std::pair<std::string, MessageBuilder>> features) {
  MessageBuilder map;
  for (const auto& [name, feature] : features) map.Message(1, MessageBuilder().Delimited(1, name).Message(2, feature));
  return MessageBuilder().Message(1, map).text();
}

// A model of tests/models/examples, ready to run.
class Runner {
 public:
  explicit Runner(const std::string& name) : model_(OpenTestModel("examples/" + name)), interpreter_(*Interpreter::Create(*model_, {})) {}

  Status Run(const std::vector<std::string>& examples) {
    input_ = Strings({static_cast<int64_t>(examples.size())}, examples);
    const std::vector<TensorView> views = {input_.view()};
    const auto outputs = interpreter_->Run(0, views, kNoDeadline);
    if (outputs.ok()) outputs_ = *outputs;
    return outputs.status();
  }
  const TensorView& Output(std::string_view name) const { return outputs_[static_cast<size_t>(graph().signature.FindOutput(name))]; }
  const GraphSignature& graph() const { return model_->graph().signatures[0]; }

 private:
  std::unique_ptr<Model> model_;
  std::unique_ptr<Interpreter> interpreter_;
  Tensor input_;
  std::span<const TensorView> outputs_;
};

// Against TensorFlow's own answers, these models are held by tests/e2e/test_examples.py.
TEST(ExampleOperatorTest, ParsesDenseFeaturesOfEveryType) {
  Runner runner("dense");
  for (int round = 0; round < 2; ++round) {
    const Status status = runner.Run({Example({{"x", FloatFeature({1, 2, 3})}}), Example({{"x", FloatFeature({4, 5, 6})},
                                                                                          {"number", Int64Feature({-5})},
                                                                                          {"pair", FloatFeature({1, 2})},
                                                                                          {"text", BytesFeature({"a", std::string("\xFF\0", 2)})}})});
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_THAT(ValuesOf<float>(runner.Output("doubled")), ElementsAre(2, 4, 6, 8, 10, 12));
    EXPECT_THAT(ValuesOf<int64_t>(runner.Output("number")), ElementsAre(14, -10));
    EXPECT_THAT(ValuesOf<float>(runner.Output("pair")), ElementsAre(1.5F, 0.5F, 2, 3));
    EXPECT_EQ(runner.Output("pair").shape, Shape({2, 1, 2}));
    EXPECT_THAT(StringsOf(runner.Output("text")), ElementsAre("none", "", "a", std::string("\xFF\0", 2)));
  }
}

TEST(ExampleOperatorTest, ParsesSparseAndRaggedFeatures) {
  Runner runner("sparse");
  const Status status = runner.Run({Example({{"x", FloatFeature({1, 0, 0})}, {"many", Int64Feature({7})}, {"words", BytesFeature({"a", "b"})}}),
                                    Example({{"x", FloatFeature({0, 1, 0})}}),
                                    Example({{"x", FloatFeature({0, 0, 1})}, {"many", Int64Feature({1, 2})}, {"ragged", FloatFeature({0.5F})}})});
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_THAT(ValuesOf<int64_t>(runner.Output("values")), ElementsAre(7, 1, 2));
  EXPECT_THAT(ValuesOf<int64_t>(runner.Output("dense")), ElementsAre(7, -1, -1, -1, 1, 2));
  EXPECT_EQ(runner.Output("dense").shape, Shape({3, 2}));
  EXPECT_THAT(StringsOf(runner.Output("words")), ElementsAre("a", "b"));
  EXPECT_THAT(ValuesOf<float>(runner.Output("ragged")), ElementsAre(0.5F));
  EXPECT_THAT(ValuesOf<int32_t>(runner.Output("splits")), ElementsAre(0, 0, 0, 1));
}

// The runtime takes no input without rows: the graph cuts a row too many off again.
TEST(ExampleOperatorTest, SparseAndRaggedFeaturesMayHaveNoValueAtAll) {
  Runner runner("sparse");
  const std::string bare = Example({{"x", FloatFeature({1, 0, 0})}});
  const std::string full = Example({{"x", FloatFeature({1, 0, 0})}, {"many", Int64Feature({7, 8})}, {"words", BytesFeature({"a"})}});
  for (const auto& examples : {std::vector{bare, bare}, std::vector{full, bare}, std::vector{bare}}) {
    const Status status = runner.Run(examples);
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(runner.Output("values").shape, Shape({examples[0] == full ? 2 : 0}));
    EXPECT_EQ(runner.Output("words").shape, Shape({examples[0] == full ? 1 : 0}));
    EXPECT_EQ(runner.Output("dense").shape, Shape({static_cast<int64_t>(examples.size()), examples[0] == full ? 2 : 0}));
    EXPECT_THAT(ValuesOf<float>(runner.Output("ragged")), IsEmpty());
    EXPECT_EQ(ValuesOf<int32_t>(runner.Output("splits")).size(), examples.size() + 1);
  }
}

TEST(ExampleOperatorTest, ParsesTheFirstVersionOfTheOperator) {
  Runner runner("first_version");
  const Status status = runner.Run({Example({{"x", FloatFeature({1, 2, 3})}, {"many", Int64Feature({4})}}),
                                    Example({{"x", FloatFeature({1, 2, 3})}, {"number", Int64Feature({9})}})});
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_THAT(ValuesOf<float>(runner.Output("doubled")), ElementsAre(2, 4, 6, 2, 4, 6));
  EXPECT_THAT(ValuesOf<int64_t>(runner.Output("number")), ElementsAre(7, 9));
  EXPECT_THAT(ValuesOf<int64_t>(runner.Output("many")), ElementsAre(4, -1));
}

TEST(ExampleOperatorTest, ClassesAndScoresAndMethods) {
  Runner classifier("classifier");
  ASSERT_TRUE(classifier.Run({Example({{"x", FloatFeature({1, 2, 3})}}), Example({{"x", FloatFeature({0, 0, 1})}})}).ok());
  EXPECT_THAT(StringsOf(classifier.Output("classes")), ElementsAre("no", "yes", "no", "yes"));
  EXPECT_EQ(classifier.Output("scores").shape, Shape({2, 2}));
  EXPECT_EQ(classifier.graph().signature.method_name, kClassifyMethodName);
  Runner regressor("regressor");
  ASSERT_TRUE(regressor.Run({Example({{"x", FloatFeature({2})}}), Example({})}).ok());
  EXPECT_THAT(ValuesOf<float>(regressor.Output("outputs")), ElementsAre(3, 7));
  EXPECT_EQ(regressor.graph().signature.method_name, kRegressMethodName);
}

TEST(ExampleOperatorTest, WhatIsWrongWithAnExampleIsSaidAsTensorFlowDoes) {
  Runner runner("dense");
  const std::string sound = Example({{"x", FloatFeature({1, 2, 3})}});
  const auto message = [&](const std::string& example) {
    const Status status = runner.Run({sound, example});
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    return status.message();
  };
  EXPECT_THAT(message(Example({})), StartsWith("Name: <unknown>, Feature: x (data type: float) is required but could not be found."));
  EXPECT_THAT(message(Example({{"x", MessageBuilder()}})), HasSubstr("Feature: x (data type: float) is required"));
  EXPECT_EQ(message(Example({{"x", Int64Feature({1, 2, 3})}})),
            "Name: <unknown>, Key: x, Index: 1.  Data types don't match. Data type: int64 but expected type: float");
  EXPECT_EQ(message(Example({{"x", FloatFeature({1})}})),
            "Name: <unknown>, Key: x, Index: 1.  Number of float values != expected.  Values size: 1 but output shape: [3]");
  EXPECT_THAT(message("abc"), StartsWith("Could not parse example input"));
  EXPECT_TRUE(runner.Run({sound}).ok());

  Runner sparse("sparse");
  EXPECT_EQ(sparse.Run({Example({{"x", FloatFeature({1, 2, 3})}, {"many", BytesFeature({"a"})}})}).message(),
            "Name: <unknown>, Key: many, Index: 0.  Data types don't match. Expected type: int64, Actual type: string");
}

// Models are tried with it before any request comes.
TEST(ExampleOperatorTest, TheSmallestExampleIsOne) {
  for (const std::string name : {"dense", "sparse", "first_version", "classifier", "regressor"}) {
    Runner runner(name);
    const std::string smallest = runner.graph().example_inputs.at(0).op.SmallestExample();
    EXPECT_TRUE(runner.Run({smallest, smallest}).ok()) << name;
  }
}

TEST(ExampleOperatorTest, RandomExamplesAreSomeAndDiffer) {
  std::mt19937 random(7);
  for (const std::string name : {"dense", "sparse", "first_version", "classifier", "regressor"}) {
    Runner runner(name);
    const ExampleOperator& op = runner.graph().example_inputs.at(0).op;
    const std::string one = op.RandomExample(random);
    const std::string other = op.RandomExample(random);
    EXPECT_NE(one, other) << name;
    EXPECT_TRUE(runner.Run({one, other}).ok()) << name;
  }
}

// The operator in a graph of its own: one input, no keys but what a test gives.
class ReadTest : public ::testing::Test {
 protected:
  ReadTest() {
    graph_.name = "main";
    Add("serialized", 5, {-1});
    for (const char* keys : {"names", "sparse_keys", "dense_keys", "ragged_keys"}) Add(keys, 5, {0});
    op_.code = 32;
    op_.custom_name = "ParseExampleV2";
    op_.inputs = {0, 1, 2, 3, 4};
    for (const int32_t keys : {2, 3, 4}) SetKeys(keys, {});
  }

  int32_t Add(const std::string& name, int type, const std::vector<int32_t>& dims) {
    graph_.tensors.push_back({.name = name, .type = type, .dims = dims});
    return static_cast<int32_t>(graph_.tensors.size() - 1);
  }
  void SetKeys(int32_t tensor, const std::vector<std::string>& keys) {
    contents_.push_back(Strings({static_cast<int64_t>(keys.size())}, keys));
    graph_.tensors[static_cast<size_t>(tensor)].constant = contents_.back().view().bytes;
  }
  // One dense feature "x" of this type and shape, without a default.
  void AddDense(int type, const std::vector<int32_t>& dims) {
    SetKeys(3, {"x"});
    op_.inputs.push_back(Add("default", type, {0}));
    op_.outputs.push_back(Add("x", type, dims));
  }
  std::string Refusal() {
    const auto read = ExampleOperator::Read("op", graph_, op_);
    EXPECT_EQ(read.status().code(), StatusCode::kUnimplemented);
    return read.status().message();
  }
  // Of the graph with the operator in it, all of whose outputs are the graph's.
  std::string EditRefusal() {
    if (graph_.inputs.empty()) graph_.inputs = {0};
    graph_.outputs = op_.outputs;
    graph_.operators.push_back(op_);
    const auto edit = EditSubgraph("m", 0, graph_);
    EXPECT_EQ(edit.status().code(), StatusCode::kUnimplemented);
    return edit.status().message();
  }

  FileSubgraph graph_;
  FileOperator op_;
  std::list<Tensor> contents_;
};

TEST_F(ReadTest, RefusesAShapeThatOnlyTheDataKnows) {
  AddDense(0, {-1, -1});
  EXPECT_EQ(Refusal(), "op: its output \"x\", feature \"x\", has a shape that is known only in the run");
}

TEST_F(ReadTest, RefusesATypeThatExamplesHaveNot) {
  AddDense(2, {-1, 2});
  EXPECT_THAT(Refusal(), HasSubstr("feature \"x\" has an element type (number 2)"));
}

TEST_F(ReadTest, RefusesIndicesThatAreNone) {
  SetKeys(2, {"v"});
  op_.outputs = {Add("indices", 4, {-1, 2}), Add("values", 0, {-1}), Add("shape", 0, {2})};
  EXPECT_EQ(Refusal(), "op: its output \"shape\" has an element type (number 0) that no index has");
  graph_.tensors[static_cast<size_t>(op_.outputs[2])].type = 4;
  EXPECT_TRUE(ExampleOperator::Read("op", graph_, op_).ok());
}

TEST_F(ReadTest, RefusesADefaultThatDoesNotFit) {
  AddDense(0, {-1, 2});
  graph_.tensors[static_cast<size_t>(op_.inputs.back())].dims = {1};
  EXPECT_THAT(Refusal(), HasSubstr("the default of feature \"x\" is not 2 constants"));
}

TEST_F(ReadTest, RefusesComputedKeysAndWrongCounts) {
  AddDense(0, {-1, 2});
  op_.outputs.push_back(op_.outputs[0]);
  EXPECT_THAT(Refusal(), HasSubstr("for 0 sparse, 1 dense and 0 ragged features"));
  graph_.tensors[3].constant = {};
  EXPECT_THAT(Refusal(), HasSubstr("its input \"dense_keys\" is no constant list of strings"));
}

TEST_F(ReadTest, RefusesASingleExample) {
  AddDense(0, {-1, 2});
  graph_.tensors[0].dims = {};
  EXPECT_THAT(Refusal(), HasSubstr("parses no list of Examples"));
}

// A client's numbers would be taken for the offsets of strings.
TEST_F(ReadTest, RefusesExamplesThatAreNoStrings) {
  AddDense(0, {-1, 2});
  graph_.tensors[0].type = 0;
  EXPECT_THAT(Refusal(), HasSubstr("parses no list of Examples"));
}

TEST_F(ReadTest, RefusesAFirstVersionWithTooFewInputs) {
  op_.custom_name = "ParseExample";
  op_.inputs = {0, 1};
  for (int i = 0; i < 5; ++i) op_.outputs.push_back(Add("x", 0, {-1, 1}));
  EXPECT_EQ(Refusal(), "op: its inputs do not fit its outputs");
}

// The file has it once, the operator would have it in each of its features.
TEST_F(ReadTest, RefusesTooManyFeaturesWithOneLongDefault) {
  constexpr int32_t kFloats = 1 << 20;
  const Tensor constant = Floats({kFloats}, std::vector<float>(kFloats));
  const int32_t shared = Add("default", 0, {kFloats});
  graph_.tensors[static_cast<size_t>(shared)].constant = constant.view().bytes;
  std::vector<std::string> keys;
  for (int i = 0; i < 15; ++i) {
    keys.push_back(std::to_string(i));
    op_.inputs.push_back(shared);
    op_.outputs.push_back(Add(keys.back(), 0, {-1, kFloats}));
  }
  SetKeys(3, keys);
  EXPECT_TRUE(ExampleOperator::Read("op", graph_, op_).ok());
  keys.emplace_back("last");
  op_.inputs.push_back(shared);
  op_.outputs.push_back(Add("last", 0, {-1, kFloats}));
  SetKeys(3, keys);
  EXPECT_EQ(Refusal(), "op: the names and defaults of its features exceed 67108864 bytes");
}

// The smallest Example is made at once, to try the model with.
TEST_F(ReadTest, RefusesFeaturesThatNoExampleCanHold) {
  AddDense(0, {-1, 1 << 28});
  SetKeys(3, {"x", "y"});
  op_.inputs.push_back(op_.inputs.back());
  op_.outputs.push_back(Add("y", 4, {-1, 1 << 27}));
  EXPECT_EQ(Refusal(), "op: feature \"y\": the dense features of one Example exceed 2147483647 bytes");
  graph_.tensors[static_cast<size_t>(op_.outputs.back())].dims = {-1, (1 << 27) - 1};
  EXPECT_TRUE(ExampleOperator::Read("op", graph_, op_).ok());
}

// Each input of the graph is fed once: nothing would feed a second one of the same tensor.
TEST_F(ReadTest, RefusesOutputsThatAreOneTensor) {
  AddDense(0, {-1, 2});
  SetKeys(3, {"x", "y"});
  op_.inputs.push_back(op_.inputs.back());
  op_.outputs.push_back(op_.outputs[0]);
  EXPECT_THAT(EditRefusal(), HasSubstr("its output \"x\" is another output of a ParseExample, or an input of the graph"));
}

TEST_F(ReadTest, RefusesOutputsThatAreOneTensorWhereTheyAreSliced) {
  SetKeys(2, {"v", "w"});
  const int32_t indices = Add("indices", 4, {-1, 2});
  const int32_t shape = Add("shape", 4, {2});
  op_.outputs = {indices, indices, Add("v", 0, {-1}), Add("w", 0, {-1}), shape, Add("other_shape", 4, {2})};
  EXPECT_THAT(EditRefusal(), HasSubstr("its output \"indices\" is another output"));
}

TEST_F(ReadTest, RefusesAnOutputThatIsAnInputOfTheGraph) {
  AddDense(0, {-1, 2});
  graph_.inputs = {0, op_.outputs[0]};
  EXPECT_THAT(EditRefusal(), HasSubstr("its output \"x\" is another output of a ParseExample, or an input of the graph"));
}

TEST_F(ReadTest, RefusesATensorThatTwoOperatorsMake) {
  AddDense(0, {-1, 2});
  graph_.operators = {op_};
  EXPECT_THAT(EditRefusal(), HasSubstr("its output \"x\" is another output"));
}

// A feature left out costs its sender nothing, and its default the server much.
TEST_F(ReadTest, TheSizeOfATensorIsLimited) {
  AddDense(0, {-1, 1 << 28});
  const auto op = ExampleOperator::Read("op", graph_, op_);
  ASSERT_TRUE(op.ok()) << op.status().ToString();
  const Tensor two = Strings({2}, {"", ""});
  EXPECT_THAT(op->Parse(two.view()).status().message(), HasSubstr("a tensor of float[2,268435456] exceeds the limit of 2147483647 bytes"));
}

TEST_F(ReadTest, TheSizeOfAllDenseFeaturesIsLimited) {
  SetKeys(3, {"x", "y"});
  for (const char* name : {"x", "y"}) {
    op_.inputs.push_back(Add("default", 0, {0}));
    op_.outputs.push_back(Add(name, 0, {-1, 1 << 27}));
  }
  const auto op = ExampleOperator::Read("op", graph_, op_);
  ASSERT_TRUE(op.ok()) << op.status().ToString();
  const Status status = op->Parse(Strings({3}, {"", "", ""}).view()).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "feature \"y\": 1610612736 bytes more, of the 536870911 that the request's Examples may still take");
}

// What two Examples take is counted to the byte: a byte less is too little.
TEST_F(ReadTest, TheSizeOfSparseAndRaggedFeaturesIsLimited) {
  SetKeys(2, {"s"});
  SetKeys(4, {"r"});
  op_.outputs = {Add("indices", 4, {-1, 2}), Add("s", 4, {-1}), Add("shape", 4, {2}), Add("r", 5, {-1}), Add("splits", 4, {-1})};
  const auto op = ExampleOperator::Read("op", graph_, op_);
  ASSERT_TRUE(op.ok()) << op.status().ToString();
  const std::string example = Example({{"s", Int64Feature({1, 2, 3})}, {"r", BytesFeature({"a"})}});
  const Tensor examples = Strings({2}, {example, example});
  constexpr size_t kBytes = 2 * (3 * (8 + 16) + sizeof(std::string_view) + 8);
  EXPECT_TRUE(op->Parse(examples.view(), kBytes).ok());
  const Status status = op->Parse(examples.view(), kBytes - 1).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "feature \"r\": 8 bytes more, of the 7 that the request's Examples may still take");
  EXPECT_THAT(op->Parse(examples.view(), kBytes / 2).status().message(), StartsWith("feature \"s\""));
}

TEST_F(ReadTest, TheSizeOfDefaultTextsIsLimited) {
  AddDense(5, {-1, 1});
  graph_.tensors[static_cast<size_t>(op_.inputs.back())].dims = {1};
  SetKeys(op_.inputs.back(), {"some text"});
  const auto op = ExampleOperator::Read("op", graph_, op_);
  ASSERT_TRUE(op.ok()) << op.status().ToString();
  const Tensor two = Strings({2}, {"", ""});
  constexpr size_t kBytes = 2 * (sizeof(std::string_view) + 9);
  EXPECT_TRUE(op->Parse(two.view(), kBytes).ok());
  EXPECT_EQ(op->Parse(two.view(), kBytes - 1).status().code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace tflite_serving
