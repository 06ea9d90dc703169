#include "codec/json_bridge.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/json_tensor_writer.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
NamedTensor Named(std::string_view name, DType dtype, const Shape& shape, const std::vector<T>& values) {
  return {name, {dtype, shape, std::as_bytes(std::span(values))}};
}

std::string Written(std::span<const NamedTensor> inputs, std::string_view signature_name = "") {
  std::string json;
  EXPECT_TRUE(WriteJsonRequest(signature_name, inputs, json).ok());
  return json;
}

TEST(JsonBridgeTest, RequestsAreWrittenAsClientsWriteThem) {
  const std::vector<float> x = {1, 2.5, 3, 4};
  const std::vector<int64_t> y = {7, 8};
  const NamedTensor rows[] = {Named("x", DType::kFloat, {2, 2}, x), Named("y", DType::kInt64, {2}, y)};
  EXPECT_EQ(Written(std::span(rows).first(1)), R"({"instances":[[1.0,2.5],[3.0,4.0]]})");
  EXPECT_EQ(Written(rows, "s"), R"({"signature_name":"s","instances":[{"x":[1.0,2.5],"y":7},{"x":[3.0,4.0],"y":8}]})");
  const NamedTensor no_rows[] = {Named("x", DType::kFloat, {1, 4}, x), Named("y", DType::kInt64, {2}, y)};
  EXPECT_EQ(Written(no_rows), R"({"inputs":{"x":[[1.0,2.5,3.0,4.0]],"y":[7,8]}})");
  const std::vector<int64_t> one = {7};
  const NamedTensor scalar = Named("y", DType::kInt64, {}, one);
  EXPECT_EQ(Written({&scalar, 1}), R"({"inputs":{"y":7}})");
  EXPECT_EQ(Written({}), R"({"inputs":{}})");
}

TEST(JsonBridgeTest, EmptyListsAreCounted) {
  const std::vector<float> none;
  std::string json;
  const NamedTensor most = Named("x", DType::kFloat, {JsonTensorWriter::kMaxEmptyLists, 0}, none);
  EXPECT_TRUE(WriteJsonRequest("", {&most, 1}, json).ok());
  for (const Shape& shape :
       {Shape{JsonTensorWriter::kMaxEmptyLists + 1, 0}, Shape{int64_t{1} << 40, 0}, Shape{int64_t{1} << 40, int64_t{1} << 20, 0}}) {
    const NamedTensor more = Named("x", DType::kFloat, shape, none);
    EXPECT_EQ(WriteJsonRequest("", {&more, 1}, json).code(), StatusCode::kInvalidArgument) << shape.ToString();
  }
}

// "name type[shape]" of each output.
std::vector<std::string> Outputs(std::string_view text) {
  const StatusOr<JsonAnswerTensors> answer = ReadJsonAnswer(text);
  if (!answer.ok()) return {answer.status().ToString()};
  std::vector<std::string> outputs;
  for (size_t i = 0; i < answer->outputs.size(); ++i) {
    const Tensor& output = answer->outputs[i];
    outputs.push_back(answer->signature.outputs.at(i).name + " " + std::string(DTypeName(output.dtype())) + output.shape().ToString());
  }
  return outputs;
}

TEST(JsonBridgeTest, AnswersBecomeTensors) {
  EXPECT_THAT(Outputs(R"({"predictions": [[1.5, 2], [3, 4]]})"), ElementsAre("predictions float[2,2]"));
  EXPECT_THAT(Outputs(R"({"predictions": [1, 2]})"), ElementsAre("predictions int64[2]"));
  EXPECT_THAT(Outputs(R"({"outputs": 7})"), ElementsAre("outputs int64[]"));
  EXPECT_THAT(Outputs(R"({"outputs": {"a": [[true]], "b": "text"}})"), ElementsAre("a bool[1,1]", "b string[]"));
  EXPECT_THAT(Outputs(R"({"predictions": [{"a": 1, "b": ["x"]}, {"b": ["y"], "a": 2.5}]})"), ElementsAre("a float[2]", "b string[2,1]"));
  EXPECT_THAT(Outputs(R"({"predictions": [{"b64": "YWI="}]})"), ElementsAre("predictions string[1]"));
  EXPECT_THAT(Outputs(R"({"predictions": [NaN, 1]})"), ElementsAre("predictions float[2]"));
  const StatusOr<JsonAnswerTensors> answer = ReadJsonAnswer(R"({"model": "m", "predictions": [{"a": 1}, {"a": 2.5}]})");
  ASSERT_TRUE(answer.ok());
  EXPECT_THAT(answer->outputs[0].view().values<float>(), ElementsAre(1, 2.5));
}

TEST(JsonBridgeTest, WhatIsNoAnswerIsTheServablesFault) {
  for (const char* const text :
       {"", "[]", "{", "{}", R"({"predictions": [1], "outputs": [1]})", R"({"predictions": [[1], [1, 2]]})",
        R"({"predictions": [{"a": 1}, {"b": 2}]})", R"({"predictions": 3})", R"({"predictions": []})", R"({"outputs": null})"}) {
    const Status status = ReadJsonAnswer(text).status();
    EXPECT_EQ(status.code(), StatusCode::kInternal) << text;
    EXPECT_THAT(status.message(), HasSubstr("the servable's answer: ")) << text;
  }
}

TEST(JsonBridgeTest, ErrorsAreToldInTheServablesWords) {
  EXPECT_EQ(ErrorOfJsonAnswer(R"({"error": "no \"x\""})"), R"(no "x")");
  EXPECT_EQ(ErrorOfJsonAnswer(R"({"error": {"code": 3}})"), R"({"error": {"code": 3}})");
}

}  // namespace
}  // namespace tflite_serving
