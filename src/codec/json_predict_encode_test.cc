#include <array>
#include <bit>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "codec/json_predict.h"

namespace tflite_serving {
namespace {

// An output with its name and the memory that its view borrows.
struct Output {
  TensorSpec spec;
  TensorView view;
  Tensor tensor;
};

template <class T>
Output Numbers(std::string name, DType dtype, const Shape& shape, const std::vector<T>& values) {
  AlignedBuffer buffer;
  EXPECT_TRUE(buffer.Resize(values.size() * sizeof(T)));
  std::copy_n(reinterpret_cast<const std::byte*>(values.data()), buffer.size(), buffer.data());
  return {.spec = {.name = std::move(name), .dtype = dtype, .shape = shape}, .tensor = Tensor(dtype, shape, std::move(buffer))};
}

Output Strings(std::string name, const Shape& shape, const std::vector<std::string>& strings) {
  StringTensorBuilder builder;
  EXPECT_TRUE(builder.Start(static_cast<int64_t>(strings.size())).ok());
  for (const std::string& text : strings) EXPECT_TRUE(builder.Add(text).ok());
  return {.spec = {.name = std::move(name), .dtype = DType::kString, .shape = shape}, .tensor = Tensor(DType::kString, shape, builder.Finish())};
}

StatusOr<std::string> TryEncode(JsonFormat format, const std::vector<Output>& outputs) {
  Signature signature{.key = "serving_default"};
  std::vector<TensorView> views;
  for (const Output& output : outputs) {
    signature.outputs.push_back(output.spec);
    views.push_back(output.view.dtype == DType::kInvalid ? output.tensor.view() : output.view);
  }
  std::string body = "what was there before";
  const Status status = EncodeJsonPredict(signature, views, format, body);
  if (!status.ok()) return status;
  return body;
}

template <class... Outputs>
std::string Encode(JsonFormat format, Outputs... outputs) {
  std::vector<Output> list;
  (list.push_back(std::move(outputs)), ...);
  const StatusOr<std::string> body = TryEncode(format, list);
  return body.ok() ? *body : body.status().ToString();
}

constexpr auto kRow = JsonFormat::kRow;
constexpr auto kColumnar = JsonFormat::kColumnar;

TEST(JsonPredictEncodeTest, OneOutputIsUnnamed) {
  EXPECT_EQ(Encode(kRow, Numbers<float>("y", DType::kFloat, {3}, {2.5, 3, 4.5})), R"({"predictions":[2.5,3.0,4.5]})");
  EXPECT_EQ(Encode(kColumnar, Numbers<float>("y", DType::kFloat, {3}, {2.5, 3, 4.5})), R"({"outputs":[2.5,3.0,4.5]})");
  EXPECT_EQ(Encode(kRow, Numbers<float>("y", DType::kFloat, {2, 2}, {1, 2, 3, 4})), R"({"predictions":[[1.0,2.0],[3.0,4.0]]})");
  EXPECT_EQ(Encode(kColumnar, Numbers<float>("y", DType::kFloat, {}, {1})), R"({"outputs":1.0})");
}

TEST(JsonPredictEncodeTest, SeveralOutputsAreObjectsInSignatureOrder) {
  const auto z = [] { return Numbers<float>("z", DType::kFloat, {2, 2}, {1, 2, 3, 4}); };
  const auto a = [] { return Numbers<int32_t>("a\"", DType::kInt32, {2}, {5, -6}); };
  EXPECT_EQ(Encode(kRow, z(), a()), R"({"predictions":[{"z":[1.0,2.0],"a\"":5},{"z":[3.0,4.0],"a\"":-6}]})");
  EXPECT_EQ(Encode(kColumnar, z(), a()), R"({"outputs":{"z":[[1.0,2.0],[3.0,4.0]],"a\"":[5,-6]}})");
}

TEST(JsonPredictEncodeTest, NestedListsOfEveryShape) {
  std::vector<int32_t> values(24);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(i);
  EXPECT_EQ(Encode(kColumnar, Numbers("y", DType::kInt32, {2, 3, 4}, values)),
            R"({"outputs":[[[0,1,2,3],[4,5,6,7],[8,9,10,11]],[[12,13,14,15],[16,17,18,19],[20,21,22,23]]]})");
  EXPECT_EQ(Encode(kRow, Numbers("y", DType::kInt32, {2, 3, 4}, values)),
            R"({"predictions":[[[0,1,2,3],[4,5,6,7],[8,9,10,11]],[[12,13,14,15],[16,17,18,19],[20,21,22,23]]]})");
  EXPECT_EQ(Encode(kColumnar, Numbers<int32_t>("y", DType::kInt32, {1, 1, 2, 1, 1}, {7, 8})), R"({"outputs":[[[[[7]],[[8]]]]]})");
  EXPECT_EQ(Encode(kRow, Numbers<int32_t>("y", DType::kInt32, {2, 1, 1}, {7, 8})), R"({"predictions":[[[7]],[[8]]]})");
}

TEST(JsonPredictEncodeTest, EmptyDimensions) {
  const auto empty = [](const Shape& shape) { return Numbers<float>("y", DType::kFloat, shape, {}); };
  EXPECT_EQ(Encode(kRow, empty({0, 3})), R"({"predictions":[]})");
  EXPECT_EQ(Encode(kColumnar, empty({0, 3})), R"({"outputs":[]})");
  EXPECT_EQ(Encode(kColumnar, empty({2, 0})), R"({"outputs":[[],[]]})");
  EXPECT_EQ(Encode(kRow, empty({2, 0})), R"({"predictions":[[],[]]})");
  EXPECT_EQ(Encode(kColumnar, empty({2, 2, 0, 5})), R"({"outputs":[[[],[]],[[],[]]]})");
  EXPECT_EQ(Encode(kRow, empty({2, 0, 5})), R"({"predictions":[[],[]]})");
  EXPECT_EQ(Encode(kRow, empty({2'000'000'000, 0})),
            "INVALID_ARGUMENT: \"y\": float[2000000000,0] has no elements, and would be more than 1048576 empty lists");
}

TEST(JsonPredictEncodeTest, EveryType) {
  EXPECT_EQ(Encode(kRow, Numbers<double>("y", DType::kDouble, {2}, {0.1, 1e300})), R"({"predictions":[0.1,1e+300]})");
  EXPECT_EQ(Encode(kRow, Numbers<uint16_t>("y", DType::kHalf, {3}, {0x3C00, 0x2E66, 0xFC00})), R"({"predictions":[1.0,0.099975586,-Infinity]})");
  EXPECT_EQ(Encode(kRow, Numbers<uint16_t>("y", DType::kBfloat16, {2}, {0x3F80, 0x3DCD})), R"({"predictions":[1.0,0.100097656]})");
  EXPECT_EQ(Encode(kRow, Numbers<int8_t>("y", DType::kInt8, {2}, {-128, 127})), R"({"predictions":[-128,127]})");
  EXPECT_EQ(Encode(kRow, Numbers<uint8_t>("y", DType::kUint8, {2}, {0, 255})), R"({"predictions":[0,255]})");
  EXPECT_EQ(Encode(kRow, Numbers<int16_t>("y", DType::kInt16, {1}, {-32768})), R"({"predictions":[-32768]})");
  EXPECT_EQ(Encode(kRow, Numbers<uint16_t>("y", DType::kUint16, {1}, {65535})), R"({"predictions":[65535]})");
  EXPECT_EQ(Encode(kRow, Numbers<uint32_t>("y", DType::kUint32, {1}, {4294967295})), R"({"predictions":[4294967295]})");
  EXPECT_EQ(Encode(kRow, Numbers<int64_t>("y", DType::kInt64, {1}, {std::numeric_limits<int64_t>::min()})),
            R"({"predictions":[-9223372036854775808]})");
  EXPECT_EQ(Encode(kRow, Numbers<uint64_t>("y", DType::kUint64, {1}, {std::numeric_limits<uint64_t>::max()})),
            R"({"predictions":[18446744073709551615]})");
  EXPECT_EQ(Encode(kRow, Numbers<uint8_t>("y", DType::kBool, {2}, {1, 0})), R"({"predictions":[true,false]})");
}

TEST(JsonPredictEncodeTest, ComplexNumbersArePairs) {
  const auto numbers = [](const Shape& shape) { return Numbers<float>("y", DType::kComplex64, shape, {1, -2, 0.5F, 3e20F}); };
  EXPECT_EQ(Encode(kRow, numbers({2})), R"({"predictions":[[1.0,-2.0],[0.5,3e+20]]})");
  EXPECT_EQ(Encode(kRow, numbers({1, 2})), R"({"predictions":[[[1.0,-2.0],[0.5,3e+20]]]})");
  EXPECT_EQ(Encode(kColumnar, Numbers<double>("y", DType::kComplex128, {}, {0.1, -1e300})), R"({"outputs":[0.1,-1e+300]})");
  EXPECT_EQ(Encode(kColumnar, Numbers<float>("y", DType::kComplex64, {0}, {})), R"({"outputs":[]})");
  const std::vector<double> longest(2000, -2.2250738585072014e-308);
  EXPECT_EQ(Encode(kColumnar, Numbers("y", DType::kComplex128, {1000}, longest)).size(),
            2000 * 24 + 1000 * 4 + sizeof(R"({"outputs":[]})") - 2);  // the longest text that a number has
}

TEST(JsonPredictEncodeTest, SelectedOutputs) {
  Signature signature{.key = "s", .outputs = {{.name = "a"}, {.name = "b"}, {.name = "c"}}};
  const std::array<Output, 3> outputs = {Numbers<int32_t>("a", DType::kInt32, {2}, {1, 2}), Numbers<int32_t>("b", DType::kInt32, {2}, {3, 4}),
                                         Numbers<int32_t>("c", DType::kInt32, {1}, {5})};
  std::vector<TensorView> views;
  for (const Output& output : outputs) views.push_back(output.tensor.view());
  const auto encode = [&](JsonFormat format, const std::vector<int>& selected) {
    std::string body;
    const Status status = EncodeJsonPredict(signature, views, format, body, selected);
    return status.ok() ? body : status.message();
  };
  EXPECT_EQ(encode(kColumnar, {2, 0}), R"({"outputs":{"c":[5],"a":[1,2]}})");
  EXPECT_EQ(encode(kRow, {1, 0}), R"({"predictions":[{"b":3,"a":1},{"b":4,"a":2}]})");
  EXPECT_EQ(encode(kRow, {1}), R"({"predictions":[3,4]})") << "one output is unnamed";
  EXPECT_EQ(encode(kRow, {}), "Tensor name: c has inconsistent batch size: 1 expecting: 2") << "none means all";
}

TEST(JsonPredictEncodeTest, StringsAreRawOrBase64) {
  EXPECT_EQ(Encode(kRow, Strings("y", {2}, {"a\"b\n", "\xFF"})), "{\"predictions\":[\"a\\\"b\\n\",\"\xFF\"]}");
  EXPECT_EQ(Encode(kRow, Strings("y_bytes", {2}, {"foobar", "\xFF"})), R"({"predictions":[{"b64":"Zm9vYmFy"},{"b64":"/w=="}]})");
  EXPECT_EQ(Encode(kColumnar, Strings("y_bytes", {}, {""})), R"({"outputs":{"b64":""}})");
  EXPECT_EQ(Encode(kRow, Numbers<uint8_t>("y_bytes", DType::kUint8, {1}, {1})), R"({"predictions":[1]})");
}

TEST(JsonPredictEncodeTest, LongOutputsGrowTheBuffer) {
  const std::vector<float> values(100'000, 0.1F);
  const std::string body = Encode(kRow, Numbers("y", DType::kFloat, {1000, 100}, values));
  EXPECT_EQ(body.size(), values.size() * 4 + 1000 * 2 + sizeof(R"({"predictions":[]})") - 2);
  EXPECT_EQ(Encode(kRow, Strings("y", {1}, {std::string(100'000, '"')})).size(), 200'000 + sizeof(R"({"predictions":[""]})") - 1);
}

TEST(JsonPredictEncodeTest, Errors) {
  EXPECT_EQ(Encode(kRow), "INVALID_ARGUMENT: Cannot convert empty tensor map to JSON");
  EXPECT_EQ(Encode(kRow, Numbers<float>("y", DType::kFloat, {}, {1})), "INVALID_ARGUMENT: Tensor name: y has no shape information ");
  EXPECT_EQ(Encode(kRow, Numbers<float>("y", DType::kFloat, {2}, {1, 2}), Numbers<float>("z", DType::kFloat, {1}, {1})),
            "INVALID_ARGUMENT: Tensor name: z has inconsistent batch size: 1 expecting: 2");
  EXPECT_EQ(Encode(kColumnar, Numbers<uint8_t>("y", DType::kInt4, {1}, {0})), "INVALID_ARGUMENT: Failed to write JSON value for tensor type: int4");
}

TEST(JsonPredictEncodeTest, BytesThatDoNotFitTheShapeAreNeverRead) {
  Output output = Numbers<float>("y", DType::kFloat, {2}, {1, 2});
  output.view = {.dtype = DType::kFloat, .shape = {3}, .bytes = output.tensor.view().bytes};
  EXPECT_EQ(Encode(kRow, std::move(output)), "INTERNAL: output \"y\": float[3] does not fit into 8 bytes");
  Output text = Strings("t", {1}, {"a"});
  text.view = {.dtype = DType::kString, .shape = {2}, .bytes = text.tensor.view().bytes};
  EXPECT_EQ(Encode(kRow, std::move(text)), "INTERNAL: output \"t\": string[2] does not fit into 13 bytes");
}

TEST(JsonPredictEncodeTest, ACountThatDiffersFromTheSignatureIsRefused) {
  const Signature signature{.key = "s", .outputs = {{.name = "y"}, {.name = "z"}}};
  const Output output = Numbers<float>("y", DType::kFloat, {1}, {1});
  const TensorView views[] = {output.tensor.view()};
  std::string body;
  EXPECT_EQ(EncodeJsonPredict(signature, views, kRow, body).ToString(), "INTERNAL: signature \"s\" has 2 outputs, got 1");
}

}  // namespace
}  // namespace tflite_serving
