#include "runtime/model_graph.h"

#include <cstring>
#include <random>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/edited_file.h"
#include "runtime/flatbuffer.h"
#include "runtime/graph_edit.h"
#include "runtime/test_tensors.h"
#include "runtime/tflite_file.h"
#include "runtime/tflite_schema.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ModelGraph Read(const std::string& name) {
  const std::string bytes = ReadTestModel(name);
  StatusOr<ModelGraph> graph = ReadModelGraph(name, AsBytes(bytes));
  EXPECT_TRUE(graph.ok()) << graph.status().ToString();
  return graph.ok() ? *std::move(graph) : ModelGraph();
}

std::vector<std::string> Describe(const std::vector<TensorSpec>& specs) {
  std::vector<std::string> lines;
  lines.reserve(specs.size());
  for (const TensorSpec& spec : specs) lines.push_back(spec.name + " " + spec.ToString() + " of " + spec.tensor_name);
  return lines;
}

TEST(ModelGraphTest, TakesNamesTypesAndOpenDimensionsFromTheSignature) {
  const ModelGraph graph = Read("half_plus_two");
  ASSERT_EQ(graph.signatures.size(), 1);
  EXPECT_TRUE(graph.has_signature_table);
  EXPECT_EQ(graph.signatures[0].signature.key, "serving_default");
  EXPECT_THAT(Describe(graph.signatures[0].signature.inputs), ElementsAre("x float[?] of serving_default_x:0"));
  EXPECT_THAT(Describe(graph.signatures[0].signature.outputs), ElementsAre(HasSubstr("y float[?] of ")));
  EXPECT_FALSE(graph.has_state);
  EXPECT_FALSE(graph.has_control_flow);
  EXPECT_FALSE(graph.signatures[0].shapes_known_late);
}

TEST(ModelGraphTest, ReadsEverySignature) {
  const ModelGraph graph = Read("multi_signature");
  ASSERT_EQ(graph.signatures.size(), 3);
  EXPECT_EQ(graph.signatures[0].signature.key, "decode");
  EXPECT_EQ(graph.signatures[1].signature.key, "encode");
  EXPECT_EQ(graph.signatures[2].signature.key, "serving_default");
  EXPECT_EQ(graph.signatures[2].signature.outputs.size(), 2);
}

// The file lists outputs by name, the graph by position.
TEST(ModelGraphTest, MapsTheSignaturesOrderToTheGraphs) {
  const GraphSignature signature = Read("multi_io").signatures[0];
  ASSERT_EQ(signature.signature.outputs.size(), 3);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(signature.output_types[signature.output_slots[i]].dtype, signature.signature.outputs[i].dtype);
  }
  EXPECT_NE(signature.output_slots, (std::vector<size_t>{0, 1, 2})) << "the model no longer shows what this test is about";
}

TEST(ModelGraphTest, NamesTensorsWhereThereIsNoSignature) {
  const ModelGraph plain = Read("half_plus_two_1x1");
  EXPECT_FALSE(plain.has_signature_table);
  EXPECT_EQ(plain.signatures[0].signature.key, "serving_default");
  EXPECT_THAT(Describe(plain.signatures[0].signature.inputs), ElementsAre("x float[1,1] of x"));
  const Signature colliding = Read("no_signature_collide").signatures[0].signature;
  EXPECT_THAT(Describe(colliding.inputs),
              ElementsAre("serving_default_a float[?] of serving_default_a:0", "serving_default_b float[?] of serving_default_b:0"));
  EXPECT_THAT(Describe(colliding.outputs), ElementsAre("StatefulPartitionedCall:0 float[?] of StatefulPartitionedCall:0",
                                                       "StatefulPartitionedCall:1 float[?] of StatefulPartitionedCall:1",
                                                       "StatefulPartitionedCall:2 bool[?] of StatefulPartitionedCall:2"));
}

TEST(ModelGraphTest, FindsTensorsThatAreSeveralThings) {
  const GraphSignature shared = Read("shared_output").signatures[0];
  EXPECT_EQ(shared.signature.outputs.size(), 2);
  EXPECT_EQ(shared.output_slots[0], shared.output_slots[1]);
  const GraphSignature through = Read("passthrough").signatures[0];
  const size_t same = through.output_slots[static_cast<size_t>(through.signature.FindOutput("same"))];
  EXPECT_EQ(through.output_sources[same].kind, OutputSource::kSameAsInput);
  const GraphSignature constant = Read("constant_output").signatures[0];
  const size_t limits = constant.output_slots[static_cast<size_t>(constant.signature.FindOutput("limits"))];
  EXPECT_EQ(constant.output_sources[limits].kind, OutputSource::kConstant);
  EXPECT_EQ(constant.output_sources[limits].constant_bytes, 2 * sizeof(float));
}

TEST(ModelGraphTest, TellsStateAndControlFlow) {
  EXPECT_TRUE(Read("stateful").has_state);
  EXPECT_TRUE(Read("stateful_batch").has_state);
  EXPECT_FALSE(Read("stateful").has_control_flow);
  EXPECT_TRUE(Read("while_loop").has_control_flow);
  EXPECT_FALSE(Read("while_loop").has_state);
}

TEST(ModelGraphTest, TellsWhoseShapesAreKnownLate) {
  for (const std::string name : {"dynamic_output", "computed_shape", "stateful_batch", "string_reshape", "string_lookup"}) {
    EXPECT_TRUE(Read(name).signatures[0].shapes_known_late) << name;
  }
  for (const std::string name : {"digits", "digits_int8", "multi_io", "row_mixing", "type_int64", "string_equal", "fixed_batch_1"}) {
    EXPECT_FALSE(Read(name).signatures[0].shapes_known_late) << name;
  }
  EXPECT_THAT(Read("while_loop").signatures[0].late_outputs, ElementsAre("count"));
  EXPECT_THAT(Read("digits").signatures[0].late_outputs, IsEmpty());
}

TEST(ModelGraphTest, KnowsSomeOfTheFilesWords) {
  EXPECT_THAT(Read("string_equal").words, ElementsAre("yes"));
  EXPECT_THAT(Read("string_lookup").words, ElementsAre("zero", "one", "two", "drei \u2462", ""));
  EXPECT_THAT(Read("string_cube").words, IsEmpty());
}

// Behind an operator that sizes its own output comes one that does not.
TEST(ModelGraphTest, EditsGraphsWhoseOutputsTheRuntimeCannotWrite) {
  const ModelGraph graph = Read("dynamic_signatures");
  ASSERT_EQ(graph.signatures.size(), 2);
  EXPECT_GT(graph.edited_file.size(), ReadTestModel("dynamic_signatures").size());
  EXPECT_EQ(graph.edited_file.size() % 64, ReadTestModel("dynamic_signatures").size() % 64) << "weights would lose their alignment";
  for (const GraphSignature& signature : graph.signatures) {
    EXPECT_THAT(signature.late_outputs, IsEmpty());
    EXPECT_TRUE(signature.shapes_known_late);
    EXPECT_TRUE(signature.signature.runs_alone);
  }
  // From outside nothing has changed, nor in the file as it is written then.
  EXPECT_THAT(Describe(graph.signatures[0].signature.outputs), ElementsAre("index int64[?,2] of PartitionedCall:0"));
  const StatusOr<ModelGraph> edited = ReadModelGraph("edited", graph.edited_file.bytes());
  ASSERT_TRUE(edited.ok()) << edited.status().ToString();
  ASSERT_EQ(edited->signatures.size(), 2);
  EXPECT_EQ(edited->edited_file.size(), 0) << "there is nothing left to edit";
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(edited->signatures[i].output_slots, graph.signatures[i].output_slots);
    EXPECT_EQ(edited->signatures[i].signature.key, graph.signatures[i].signature.key);
  }
}

// The writer reads the file anew, within bounds of its own: what it then finds may be less than what was edited.
TEST(ModelGraphTest, AFileThatCannotBeReadAgainIsNotEdited) {
  for (const int list : {subgraph_field::kTensors, subgraph_field::kOperators}) {
    std::string bytes = ReadTestModel("dynamic_signatures");
    TfliteFile file = *ReadTfliteFile("m", AsBytes(bytes));
    ASSERT_TRUE(EditSubgraph("m", 0, file.subgraphs[0]).ok());
    ASSERT_TRUE(WriteEditedFile("m", AsBytes(bytes), file).ok());
    FlatBuffer buffer(AsBytes(bytes));
    bytes.replace(buffer.Root(kTfliteIdentifier).Tables(model_field::kSubgraphs)[0].Target(list), 4, "\xFF\xFF\xFF\x7F");
    const Status status = WriteEditedFile("m", AsBytes(bytes), file).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("m: the file refers to position"));
  }
}

TEST(ModelGraphTest, LeavesOtherFilesAlone) {
  for (const std::string name : {"digits", "digits_int8", "multi_signature", "string_cube", "while_loop"}) {
    EXPECT_EQ(Read(name).edited_file.size(), 0) << name;
    EXPECT_FALSE(Read(name).signatures[0].signature.runs_alone && name != "while_loop") << name;
  }
}

// Seen from outside an example model has the one input that clients feed.
TEST(ModelGraphTest, TakesExampleOperatorsOut) {
  const ModelGraph graph = Read("examples/sparse");
  const GraphSignature& signature = graph.signatures[0];
  EXPECT_THAT(Describe(signature.signature.inputs), ElementsAre("inputs string[?] of serving_default_inputs:0"));
  ASSERT_EQ(signature.example_inputs.size(), 1);
  EXPECT_EQ(signature.example_inputs[0].serialized_slot, signature.input_slots[0]);
  EXPECT_GT(signature.input_types.size(), 5);
  EXPECT_TRUE(signature.signature.runs_alone);
  EXPECT_FALSE(Read("examples/dense").signatures[0].signature.runs_alone);
  EXPECT_EQ(graph.runtime_signatures[0].num_inputs, signature.input_types.size());
}

TEST(ModelGraphTest, NamesOperatorsThatTheRuntimeLacks) {
  const std::string flex = ReadTestModel("refused/flex_operator");
  const Status status = ReadModelGraph("m.tflite", AsBytes(flex)).status();
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("FlexErf v1 at operator 0 of subgraph 0 \"main\" (output tensor \"y\")"));
  EXPECT_THAT(status.message(), HasSubstr("TFLITE_BUILTINS"));
  const std::string custom = ReadTestModel("refused/custom_operator");
  EXPECT_EQ(
      ReadModelGraph("m.tflite", AsBytes(custom)).status().message(),
      "m.tflite: the runtime lacks an operator of the model: MyOperator v1 at operator 0 of subgraph 0 \"main\" (output tensor \"y\"), a custom "
      "operator, which no --custom_op_library has");
}

TEST(ModelGraphTest, TellsTheScaleOfQuantisedTensors) {
  const Signature quantised = Read("digits_int8").signatures[0].signature;
  ASSERT_TRUE(quantised.inputs[0].quantization.has_value());
  EXPECT_FLOAT_EQ(quantised.inputs[0].quantization->scale, 16.0F / 255);
  EXPECT_EQ(quantised.inputs[0].quantization->zero_point, -128);
  EXPECT_FLOAT_EQ(quantised.outputs[0].quantization->scale, 1.0F / 256);
  EXPECT_FALSE(Read("digits").signatures[0].signature.inputs[0].quantization.has_value());
  EXPECT_FALSE(Read("type_int8").signatures[0].signature.inputs[0].quantization.has_value());
}

// TFLite's own kernels take zero points as int32.
TEST(ModelGraphTest, AZeroPointThatNoKernelHasIsNone) {
  std::string bytes = ReadTestModel("digits_int8");
  const std::string sound("\x80\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8);
  for (size_t at = bytes.find(sound); at != std::string::npos; at = bytes.find(sound, at)) bytes.replace(at, 8, std::string(7, '\0') + '\x80');
  const StatusOr<ModelGraph> graph = ReadModelGraph("m", AsBytes(bytes));
  ASSERT_TRUE(graph.ok()) << graph.status().ToString();
  EXPECT_FALSE(graph->signatures[0].signature.inputs[0].quantization.has_value());
}

TEST(ModelGraphTest, InfersWhatASignatureIsForFromItsNames) {
  EXPECT_EQ(Read("examples/classifier").signatures[0].signature.method_name, kClassifyMethodName);
  EXPECT_EQ(Read("examples/regressor").signatures[0].signature.method_name, kRegressMethodName);
  EXPECT_EQ(Read("class_labels").signatures[0].signature.method_name, kPredictMethodName) << "its input is not called \"inputs\"";
  EXPECT_EQ(Read("examples/dense").signatures[0].signature.method_name, kPredictMethodName);
}

TEST(ModelGraphTest, RefusesWhatTheRuntimeCannotCarryByName) {
  const std::string complex = ReadTestModel("type_complex128");
  const Status type = ReadModelGraph("m.tflite", AsBytes(complex)).status();
  EXPECT_EQ(type.code(), StatusCode::kUnimplemented);
  EXPECT_EQ(type.message(),
            "m.tflite: input tensor \"x\" has element type COMPLEX128 (number 11), which the runtime cannot carry into or out of a model");
  const std::string variable = ReadTestModel("stateful_tensor");
  const Status state = ReadModelGraph("m.tflite", AsBytes(variable)).status();
  EXPECT_EQ(state.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(state.message(), HasSubstr("m.tflite: tensor \"state\" keeps its value between runs"));
}

TEST(ModelGraphTest, RefusesOtherFiles) {
  const std::string text = "This is not the file that you are looking for, but long enough to be one.";
  const Status status = ReadModelGraph("m.tflite", AsBytes(text)).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("m.tflite: not a sound .tflite file: "));
  EXPECT_EQ(ReadModelGraph("m.tflite", {}).status().code(), StatusCode::kInvalidArgument);
}

// Reading never leaves the file, whatever is in it (the sanitizers watch), and says so where it would have to.
TEST(ModelGraphTest, SurvivesCorruption) {
  int refused = 0;
  for (const std::string name : {"half_plus_two", "multi_io", "no_signature_collide", "stateful", "while_loop", "dynamic_signatures",
                                 "examples/sparse", "examples/legacy_signatures", "class_labels"}) {
    const std::string sound = ReadTestModel(name);
    for (size_t size = 0; size < sound.size(); size += 3) {
      const std::string cut = sound.substr(0, size);
      refused += ReadModelGraph("m", AsBytes(cut)).ok() ? 0 : 1;
    }
    std::mt19937 random(7);
    for (int i = 0; i < 2000; ++i) {
      std::string flipped = sound;
      FlipBits(flipped, random);
      refused += ReadModelGraph("m", AsBytes(flipped)).ok() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 1000);
}

// The position of a scalar field that a table has.
size_t FieldPosition(const std::string& bytes, const FlatTable& table, int field) {
  const auto read = [&]<typename T>(size_t position, T) {
    T value{};
    std::memcpy(&value, bytes.data() + position, sizeof(value));
    return value;
  };
  const size_t vtable = table.position() - static_cast<size_t>(read(table.position(), int32_t{}));
  return table.position() + read(vtable + 4 + 2 * static_cast<size_t>(field), uint16_t{});
}

TEST(ModelGraphTest, ATensorOfABufferThatIsNotThereIsRefused) {
  std::string bytes = ReadTestModel("half_plus_two");
  FlatBuffer file(AsBytes(bytes));
  const FlatTable root = file.Root(kTfliteIdentifier);
  const auto num_buffers = static_cast<uint32_t>(root.Tables(model_field::kBuffers).size());
  const FlatTable tensor = root.Tables(model_field::kSubgraphs)[0].Tables(subgraph_field::kTensors)[0];
  const size_t position = FieldPosition(bytes, tensor, tensor_field::kBuffer);
  ASSERT_LT(tensor.Scalar<uint32_t>(tensor_field::kBuffer), num_buffers);
  std::memcpy(bytes.data() + position, &num_buffers, sizeof(num_buffers));
  const Status status = ReadModelGraph("m", AsBytes(bytes)).status();
  EXPECT_EQ(status,
            InvalidArgumentError(fmt::format("m: tensor \"serving_default_x:0\" names buffer {0}, but the file has {0} buffers", num_buffers)));
}

}  // namespace
}  // namespace tflite_serving
