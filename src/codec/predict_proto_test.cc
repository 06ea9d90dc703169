#include "codec/predict_proto.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/message_builder.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

MessageBuilder FloatScalar(float value) { return MessageBuilder().Varint(1, 1).Message(2, MessageBuilder()).PackedFixed(5, {value}); }
MessageBuilder Entry(std::string_view name, const MessageBuilder& tensor) { return MessageBuilder().Delimited(1, name).Message(2, tensor); }

Signature MakeSignature(const std::vector<std::string>& names) {
  Signature signature;
  signature.key = "serving_default";
  for (const std::string& name : names) signature.inputs.push_back({name, "graph_" + name + ":0", DType::kFloat, {}});
  signature.outputs = signature.inputs;
  return signature;
}

// Decodes `message` against `signature`: the scalars it gives.
StatusOr<std::vector<float>> DecodeScalars(const MessageBuilder& message, const Signature& signature) {
  const MessagePieces pieces(message.text(), 7);
  PredictRequestParts parts;
  TFLS_RETURN_IF_ERROR(ParsePredictRequest(pieces.pieces(), parts));
  std::vector<Tensor> inputs;
  TFLS_RETURN_IF_ERROR(DecodePredictInputs(parts, signature, inputs));
  std::vector<float> scalars;
  scalars.reserve(inputs.size());
  for (const Tensor& input : inputs) scalars.push_back(input.view().values<float>()[0]);
  return scalars;
}

StatusOr<PredictRequestParts> Parse(const MessageBuilder& message) {
  const MessagePieces pieces(message.text(), 3);
  PredictRequestParts parts;
  TFLS_RETURN_IF_ERROR(ParsePredictRequest(pieces.pieces(), parts));
  parts.inputs.clear();  // they would outlive the pieces
  return parts;
}

TEST(ParsePredictRequestTest, AnEmptyMessageHasNothing) {
  const StatusOr<PredictRequestParts> parts = Parse(MessageBuilder());
  ASSERT_TRUE(parts.ok());
  EXPECT_FALSE(parts->has_model_spec);
  EXPECT_THAT(parts->output_filter, IsEmpty());
}

TEST(ParsePredictRequestTest, ReadsTheModelSpec) {
  const MessageBuilder spec = MessageBuilder().Delimited(1, "digits").Message(2, MessageBuilder().Varint(1, 42)).Delimited(3, "probabilities");
  const StatusOr<PredictRequestParts> parts = Parse(MessageBuilder().Message(1, spec).Delimited(3, "y").Delimited(3, "z"));
  ASSERT_TRUE(parts.ok());
  EXPECT_TRUE(parts->has_model_spec);
  EXPECT_EQ(parts->model_spec.name, "digits");
  EXPECT_EQ(parts->model_spec.version, 42);
  EXPECT_EQ(parts->model_spec.version_label, "");
  EXPECT_EQ(parts->model_spec.signature_name, "probabilities");
  EXPECT_THAT(parts->output_filter, ElementsAre("y", "z"));
}

TEST(ParsePredictRequestTest, VersionZeroIsAVersion) {
  EXPECT_EQ(Parse(MessageBuilder().Message(1, MessageBuilder().Message(2, MessageBuilder())))->model_spec.version, 0);
  EXPECT_EQ(Parse(MessageBuilder().Message(1, MessageBuilder()))->model_spec.version, std::nullopt);
}

TEST(ParsePredictRequestTest, TheLastOfVersionAndLabelCounts) {
  const MessageBuilder version = MessageBuilder().Message(2, MessageBuilder().Varint(1, 3));
  const MessageBuilder label = MessageBuilder().Delimited(4, "stable");
  StatusOr<PredictRequestParts> parts = Parse(MessageBuilder().Message(1, version).Message(1, label));
  EXPECT_EQ(parts->model_spec.version, std::nullopt);
  EXPECT_EQ(parts->model_spec.version_label, "stable");
  parts = Parse(MessageBuilder().Message(1, label).Message(1, version));
  EXPECT_EQ(parts->model_spec.version, 3);
  EXPECT_EQ(parts->model_spec.version_label, "");
}

TEST(ParsePredictRequestTest, ModelSpecsAreMerged) {
  const MessageBuilder message =
      MessageBuilder().Message(1, MessageBuilder().Delimited(1, "a").Delimited(3, "s")).Message(1, MessageBuilder().Delimited(1, "b"));
  const StatusOr<PredictRequestParts> parts = Parse(message);
  EXPECT_EQ(parts->model_spec.name, "b");
  EXPECT_EQ(parts->model_spec.signature_name, "s");
}

TEST(ParsePredictRequestTest, PassesOverUnknownFields) {
  const MessageBuilder spec = MessageBuilder().Delimited(1, "m").Delimited(77, "new");
  EXPECT_EQ(Parse(MessageBuilder().Varint(2, 5).Message(5, spec).Message(1, spec).Delimited(1000, "new"))->model_spec.name, "m");
}

TEST(ParsePredictRequestTest, NamesWhatIsMalformed) {
  EXPECT_EQ(Parse(MessageBuilder().Raw("\x0A\x05\x01")).status(),
            InvalidArgumentError("malformed PredictRequest: field 1 claims 5 bytes where 1 are left"));
  EXPECT_THAT(Parse(MessageBuilder().Delimited(1, "\x0A\x05")).status().message(), HasSubstr("field 1 claims 5 bytes where 0 are left"));
  EXPECT_THAT(Parse(MessageBuilder().Delimited(2, "\x08")).status().message(), HasSubstr("the number in field 1 is cut off"));
  EXPECT_THAT(Parse(MessageBuilder().Message(1, MessageBuilder().Delimited(2, "\x08"))).status().message(),
              HasSubstr("the number in field 1 is cut off"));
  EXPECT_THAT(Parse(MessageBuilder().Message(1, MessageBuilder().Delimited(1, "\xFF"))).status().message(), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(Parse(MessageBuilder().Delimited(3, "\xFF")).status().message(), HasSubstr("not valid UTF-8"));
}

TEST(ParsePredictRequestTest, LimitsTheNumberOfNames) {
  MessageBuilder inputs;
  MessageBuilder outputs;
  for (size_t i = 0; i < kMaxRequestNames; ++i) {
    inputs.Delimited(2, "");
    outputs.Delimited(3, "y");
  }
  EXPECT_TRUE(Parse(inputs).ok());
  EXPECT_TRUE(Parse(outputs).ok());
  EXPECT_THAT(Parse(inputs.Delimited(2, "")).status().message(), HasSubstr("more than 4096 inputs"));
  EXPECT_THAT(Parse(outputs.Delimited(3, "y")).status().message(), HasSubstr("more than 4096 output names"));
}

TEST(DecodePredictInputsTest, ReturnsTensorsInTheSignaturesOrder) {
  const MessageBuilder message = MessageBuilder().Message(2, Entry("a", FloatScalar(1))).Message(2, Entry("b", FloatScalar(2)));
  const StatusOr<std::vector<float>> scalars = DecodeScalars(message, MakeSignature({"b", "a"}));
  ASSERT_TRUE(scalars.ok()) << scalars.status().ToString();
  EXPECT_THAT(*scalars, ElementsAre(2, 1));
}

TEST(DecodePredictInputsTest, TheLastInputOfANameCounts) {
  const MessageBuilder message = MessageBuilder().Message(2, Entry("x", FloatScalar(1))).Message(2, Entry("x", FloatScalar(2)));
  EXPECT_THAT(*DecodeScalars(message, MakeSignature({"x"})), ElementsAre(2));
}

TEST(DecodePredictInputsTest, KeyAndValueComeInAnyOrder) {
  const MessageBuilder entry = MessageBuilder().Message(2, FloatScalar(3)).Delimited(1, "x");
  EXPECT_THAT(*DecodeScalars(MessageBuilder().Message(2, entry), MakeSignature({"x"})), ElementsAre(3));
}

TEST(DecodePredictInputsTest, CountsInputsInTheOriginalsWords) {
  const MessageBuilder message = MessageBuilder().Message(2, Entry("b", FloatScalar(1))).Message(2, Entry("a", FloatScalar(2)));
  EXPECT_EQ(DecodeScalars(message, MakeSignature({"x"})).status(),
            InvalidArgumentError("input size does not match signature: 2!=1 len({a,b}) != len({x}). Sent extra: {a,b}. Missing but required: {x}."));
  EXPECT_EQ(DecodeScalars(MessageBuilder(), MakeSignature({"x", "a"})).status(),
            InvalidArgumentError("input size does not match signature: 0!=2 len({}) != len({a,x}). Sent extra: {}. Missing but required: {a,x}."));
}

TEST(DecodePredictInputsTest, NamesTheMissingInput) {
  const MessageBuilder message = MessageBuilder().Message(2, Entry("a", FloatScalar(1)));
  EXPECT_EQ(
      DecodeScalars(message, MakeSignature({"x"})).status(),
      InvalidArgumentError("Signature input alias: x(feed name: graph_x:0) not found in request and no default value provided. Inputs expected to be "
                           "in the request {a}, or default input alias set: "));
}

TEST(DecodePredictInputsTest, NamesTheTensorThatIsNotSound) {
  const MessageBuilder tensor = MessageBuilder().Varint(1, 1).Delimited(4, "xyz");
  EXPECT_EQ(DecodeScalars(MessageBuilder().Message(2, Entry("x", tensor)), MakeSignature({"x"})).status(),
            InvalidArgumentError("tensor parsing error: x: tensor_content has 3 bytes, float[] needs 4"));
  EXPECT_EQ(DecodeScalars(MessageBuilder().Message(2, MessageBuilder().Delimited(1, "x")), MakeSignature({"x"})).status(),
            InvalidArgumentError("tensor parsing error: x: dtype 0 is not supported"));
}

StatusOr<std::vector<int>> Select(const Signature& signature, const std::vector<std::string>& filter) {
  std::vector<int> selected = {7};  // of the request before
  TFLS_RETURN_IF_ERROR(SelectOutputs(signature, filter, selected));
  return selected;
}

TEST(SelectOutputsTest, SelectsAllOrWhatIsNamed) {
  const Signature signature = MakeSignature({"p", "q", "r"});
  EXPECT_THAT(*Select(signature, {}), ElementsAre(0, 1, 2));
  EXPECT_THAT(*Select(signature, {"r", "p"}), ElementsAre(2, 0));
}

TEST(SelectOutputsTest, RefusesUnknownAndRepeatedNames) {
  const Signature signature = MakeSignature({"z", "y"});
  EXPECT_EQ(Select(signature, {"foo"}).status(),
            InvalidArgumentError("output tensor alias not found in signature: foo Outputs expected to be in the set {y,z}."));
  EXPECT_EQ(Select(signature, {"y", "y"}).status(), InvalidArgumentError("duplicate output tensor alias: y"));
}

std::string Encode(const PredictResponseParts& parts) {
  PredictResponseEncoder encoder;
  EXPECT_EQ(encoder.Prepare(parts), OkStatus());
  std::string text(encoder.size(), '?');
  encoder.Write(std::as_writable_bytes(std::span(text)));
  return text;
}

TEST(PredictResponseEncoderTest, WritesOutputsAndModelSpec) {
  const Signature signature = MakeSignature({"y", "z"});
  const std::vector<float> values{4.0F, 5.0F};
  const TensorView y{DType::kFloat, {}, std::as_bytes(std::span(values).first(1))};
  const TensorView z{DType::kFloat, {}, std::as_bytes(std::span(values).last(1))};
  const std::vector<TensorView> outputs{y, z};
  const ServableId servable{"digits", 7};
  const MessageBuilder spec = MessageBuilder().Delimited(1, "digits").Message(2, MessageBuilder().Varint(1, 7)).Delimited(3, "serving_default");
  EXPECT_EQ(Encode({servable, signature, outputs, std::vector<int>{1, 0}}),
            MessageBuilder().Message(1, Entry("z", FloatScalar(5))).Message(1, Entry("y", FloatScalar(4))).Message(2, spec).text());
  const MessageBuilder content =
      MessageBuilder().Varint(1, 1).Message(2, MessageBuilder()).Delimited(4, MessageBuilder::Bytes(std::span(values).first(1)));
  EXPECT_EQ(Encode({servable, signature, outputs, std::vector<int>{0}, true}),
            MessageBuilder().Message(1, Entry("y", content)).Message(2, spec).text());
}

TEST(PredictResponseEncoderTest, VersionZeroIsThereButEmpty) {
  const MessageBuilder spec = MessageBuilder().Delimited(1, "m").Delimited(2, "").Delimited(3, "serving_default");
  EXPECT_EQ(Encode({ServableId{"m", 0}, MakeSignature({}), {}, {}}), MessageBuilder().Message(2, spec).text());
}

TEST(PredictResponseEncoderTest, NamesTheOutputThatCannotBeWritten) {
  const std::vector<TensorView> outputs{{DType::kFloat, {2}, {}}};
  const Signature signature = MakeSignature({"y"});
  const std::vector<int> selected{0};
  EXPECT_EQ(PredictResponseEncoder().Prepare({ServableId{"m", 1}, signature, outputs, selected}).message(),
            "output \"y\": float[2] needs 8 bytes, got 0");
}

TEST(PredictResponseEncoderTest, LimitsTheSize) {
  // One buffer of a gigabyte (never touched, since only sizes are computed), three times.
  AlignedBuffer buffer;
  constexpr int64_t kBytes = int64_t{1} << 30;
  ASSERT_TRUE(buffer.Resize(kBytes));
  const std::vector<TensorView> outputs(3, TensorView{DType::kDouble, {kBytes / 8}, buffer.bytes()});
  const Signature signature = MakeSignature({"a", "b", "c"});
  const ServableId servable{"m", 1};
  EXPECT_TRUE(PredictResponseEncoder().Prepare({servable, signature, outputs, std::vector<int>{0}}).ok());
  const Status status = PredictResponseEncoder().Prepare({servable, signature, outputs, std::vector<int>{0, 1, 2}});
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("the limit is 2147483647"));
}

}  // namespace
}  // namespace tflite_serving
