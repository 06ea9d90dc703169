// Valid predict requests. What is refused, and how, is in json_predict_errors_test.cc.
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/json_predict.h"
#include "codec/padded_document.h"

namespace tflite_serving {
namespace {

using testing::ElementsAre;

Signature OneInput(DType dtype, const Shape& shape = {-1}) {
  return {.key = "serving_default", .inputs = {{.name = "x", .tensor_name = "x:0", .dtype = dtype, .shape = shape}}};
}

Signature FourInputs() {
  return {.key = "serving_default",
          .inputs = {{.name = "int_tensor", .dtype = DType::kInt32, .shape = {-1, 3, 2}},
                     {.name = "str_tensor", .dtype = DType::kString, .shape = {-1, 2}},
                     {.name = "float_tensor", .dtype = DType::kFloat, .shape = {-1, 2}},
                     {.name = "dbl_tensor", .dtype = DType::kDouble, .shape = {-1, 1}}}};
}

SignatureResolver Always(const Signature& signature) {
  return [&signature](std::string_view) -> StatusOr<const Signature*> { return &signature; };
}

class JsonPredictDecodeTest : public testing::Test {
 protected:
  void Decode(const Signature& signature, std::string_view text) { DecodeWith(Always(signature), text); }
  void DecodeWith(const SignatureResolver& resolve, std::string_view text) {
    PaddedDocument document(text);
    const Status status = DecodeJsonPredict(document.body(), resolve, request_);
    ASSERT_TRUE(status.ok()) << status.ToString() << "\n" << text;
    ASSERT_EQ(document.text(), text);
    for (size_t i = 0; i < request_.inputs.size(); ++i) {
      const TensorView view = request_.inputs[i].view();
      ASSERT_EQ(view.dtype, request_.signature->inputs[i].dtype);
      ASSERT_EQ(reinterpret_cast<uintptr_t>(view.bytes.data()) % kTensorAlignment, 0U);
      if (view.dtype == DType::kString) {
        ASSERT_TRUE(ValidateStrings(view.bytes, *view.shape.NumElements()).ok());
      } else {
        ASSERT_EQ(view.bytes.size(), *TensorSizeBytes(view.dtype, view.shape));
      }
    }
  }

  std::string ShapeOf(size_t input = 0) const { return request_.inputs[input].shape().ToString(); }
  template <class T>
  std::vector<T> Values(size_t input = 0) const {
    const auto values = request_.inputs[input].view().values<T>();
    return {values.begin(), values.end()};
  }
  std::vector<std::string> Strings(size_t input = 0) const {
    const TensorView view = request_.inputs[input].view();
    std::vector<std::string> strings;
    for (int64_t i = 0; i < *view.shape.NumElements(); ++i) strings.emplace_back(view.StringAt(i));
    return strings;
  }

  JsonPredictRequest request_;
};

TEST_F(JsonPredictDecodeTest, RowsOfLists) {
  Decode(OneInput(DType::kInt32), R"({ "instances": [[1,2],[3,4],[5,6]] })");
  EXPECT_EQ(request_.format, JsonFormat::kRow);
  EXPECT_EQ(ShapeOf(), "[3,2]");
  EXPECT_THAT(Values<int32_t>(), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(JsonPredictDecodeTest, RowsOfScalars) {
  Decode(OneInput(DType::kFloat), R"({"instances": [1, 2.0, 3, 5.003, 0.007, 0.0, 1e2]})");
  EXPECT_EQ(ShapeOf(), "[7]");
  EXPECT_THAT(Values<float>(), ElementsAre(1, 2, 3, 5.003F, 0.007F, 0, 100));
}

TEST_F(JsonPredictDecodeTest, RowsOfObjects) {
  Decode(FourInputs(), R"({"instances": [
    {"int_tensor": [[1,2],[3,4],[5,6]], "str_tensor": ["foo", "bar"], "float_tensor": [1.0, NaN], "dbl_tensor": [NaN]},
    {"dbl_tensor": [2.0], "int_tensor": [[7,8],[9,0],[1,2]], "float_tensor": [2.0, Infinity], "str_tensor": ["baz", {"b64": "YmF0"}]}]})");
  EXPECT_EQ(request_.format, JsonFormat::kRow);
  EXPECT_EQ(ShapeOf(0), "[2,3,2]");
  EXPECT_THAT(Values<int32_t>(0), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2));
  EXPECT_EQ(ShapeOf(1), "[2,2]");
  EXPECT_THAT(Strings(1), ElementsAre("foo", "bar", "baz", "bat"));
  EXPECT_THAT(Values<float>(2), ElementsAre(1, testing::IsNan(), 2, std::numeric_limits<float>::infinity()));
  EXPECT_EQ(ShapeOf(3), "[2,1]");
  EXPECT_THAT(Values<double>(3), ElementsAre(testing::IsNan(), 2));
}

TEST_F(JsonPredictDecodeTest, ObjectRowsOfOneInput) {
  Decode(OneInput(DType::kInt32), R"({"instances": [{"x": 1}, {"x": 2, "x": "ignored"}]})");
  EXPECT_EQ(ShapeOf(), "[2]");
  EXPECT_THAT(Values<int32_t>(), ElementsAre(1, 2));
}

TEST_F(JsonPredictDecodeTest, Base64Rows) {
  Decode(OneInput(DType::kString), R"({"instances": [ { "b64" : "aGVsbG8=" }, { "b64": "d29ybGQ" }, "plain", {"b64": "aGVs\nbG8="} ]})");
  EXPECT_EQ(ShapeOf(), "[4]");
  EXPECT_THAT(Strings(), ElementsAre("hello", "world", "plain", "hello"));
  Decode(OneInput(DType::kString), R"({"instances": [ [{ "b64" : "aGVsbG8=" }], [{ "b64": "\/\/\/\/" }] ]})");
  EXPECT_EQ(ShapeOf(), "[2,1]");
  EXPECT_THAT(Strings(), ElementsAre("hello", "\xFF\xFF\xFF"));
  Decode(OneInput(DType::kString), R"({"instances": [{"x": [ [{ "b64" : "aGVsbG8=" }], ["w"] ]}]})");
  EXPECT_EQ(ShapeOf(), "[1,2,1]");
  EXPECT_THAT(Strings(), ElementsAre("hello", "w"));
}

TEST_F(JsonPredictDecodeTest, AnInputThatIsCalledB64) {
  Signature signature = OneInput(DType::kInt32);
  signature.inputs[0].name = "b64";
  Decode(signature, R"({"instances": [{"b64": 1}, {"b64": 2}]})");
  EXPECT_THAT(Values<int32_t>(), ElementsAre(1, 2));
  Decode(signature, R"({"inputs": {"b64": [1, 2]}})");
  EXPECT_THAT(Values<int32_t>(), ElementsAre(1, 2));
}

TEST_F(JsonPredictDecodeTest, Columns) {
  Decode(OneInput(DType::kInt32), R"({"inputs": {"x": [[[1,2],[3,4],[5,6]]]}})");
  EXPECT_EQ(request_.format, JsonFormat::kColumnar);
  EXPECT_EQ(ShapeOf(), "[1,3,2]");
  Decode(OneInput(DType::kInt32), R"({"inputs": [[[1,2],[3,4],[5,6]]]})");
  EXPECT_EQ(ShapeOf(), "[1,3,2]");
  EXPECT_THAT(Values<int32_t>(), ElementsAre(1, 2, 3, 4, 5, 6));
  Decode(OneInput(DType::kFloat), R"({"inputs": 2.5})");
  EXPECT_EQ(ShapeOf(), "[]");
  EXPECT_THAT(Values<float>(), ElementsAre(2.5F));
  Decode(OneInput(DType::kFloat), R"({"inputs": []})");
  EXPECT_EQ(ShapeOf(), "[0]");
  Decode(OneInput(DType::kFloat), R"({"inputs": [[],[]]})");
  EXPECT_EQ(ShapeOf(), "[2,0]");
  Decode(OneInput(DType::kString), R"({"inputs": {"b64": "aGVsbG8="}})");
  EXPECT_EQ(ShapeOf(), "[]");
  EXPECT_THAT(Strings(), ElementsAre("hello"));
}

TEST_F(JsonPredictDecodeTest, ColumnsOfSeveralInputsAreInSignatureOrderAndExtraNamesAreIgnored) {
  Decode(FourInputs(), R"({"inputs": {"extra": {"deep": [[[1]]]}, "dbl_tensor": 1, "float_tensor": [2, 3], "str_tensor": {"b64": "aGVsbG8="},
    "int_tensor": [[4]], "int_tensor": "the second one is ignored"}})");
  EXPECT_THAT(Values<int32_t>(0), ElementsAre(4));
  EXPECT_EQ(ShapeOf(1), "[]");
  EXPECT_THAT(Strings(1), ElementsAre("hello"));
  EXPECT_EQ(ShapeOf(2), "[2]");
  EXPECT_THAT(Values<double>(3), ElementsAre(1));
}

TEST_F(JsonPredictDecodeTest, EveryNumericType) {
  Decode(OneInput(DType::kInt8), R"({"instances": [-128, 127]})");
  EXPECT_THAT(Values<int8_t>(), ElementsAre(-128, 127));
  Decode(OneInput(DType::kUint8), R"({"instances": [0, 255]})");
  EXPECT_THAT(Values<uint8_t>(), ElementsAre(0, 255));
  Decode(OneInput(DType::kInt16), R"({"instances": [-32768, 32767]})");
  EXPECT_THAT(Values<int16_t>(), ElementsAre(-32768, 32767));
  Decode(OneInput(DType::kUint16), R"({"instances": [65535]})");
  EXPECT_THAT(Values<uint16_t>(), ElementsAre(65535));
  Decode(OneInput(DType::kUint32), R"({"instances": [4294967295]})");
  EXPECT_THAT(Values<uint32_t>(), ElementsAre(4294967295U));
  Decode(OneInput(DType::kInt64), R"({"instances": [-9223372036854775808, 9223372036854775807]})");
  EXPECT_THAT(Values<int64_t>(), ElementsAre(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()));
  Decode(OneInput(DType::kUint64), R"({"instances": [18446744073709551615]})");
  EXPECT_THAT(Values<uint64_t>(), ElementsAre(std::numeric_limits<uint64_t>::max()));
  Decode(OneInput(DType::kDouble), R"({"instances": [0.1, 1e308]})");
  EXPECT_THAT(Values<double>(), ElementsAre(0.1, 1e308));
  Decode(OneInput(DType::kBool), R"({"instances": [[true, false], [false, true]]})");
  EXPECT_THAT(Values<uint8_t>(), ElementsAre(1, 0, 0, 1));
  Decode(OneInput(DType::kHalf), R"({"instances": [1.0, -2, 65504, 1e9, 0.1]})");
  EXPECT_THAT(Values<uint16_t>(), ElementsAre(0x3C00, 0xC000, 0x7BFF, 0x7C00, 0x2E66));
  Decode(OneInput(DType::kBfloat16), R"({"instances": [1.0, -2, 0.1]})");
  EXPECT_THAT(Values<uint16_t>(), ElementsAre(0x3F80, 0xC000, 0x3DCD));
}

TEST_F(JsonPredictDecodeTest, SpecialFloatsOverflowAndUnderflow) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Decode(OneInput(DType::kFloat), R"({"instances": [NaN, Inf, Infinity, -Inf, -Infinity, 1e39, -1e39, 1e-60, -0.0]})");
  EXPECT_THAT(Values<float>(), ElementsAre(testing::IsNan(), kInfinity, kInfinity, -kInfinity, -kInfinity, kInfinity, -kInfinity, 0, 0));
  EXPECT_TRUE(std::signbit(Values<float>().back()));
}

TEST_F(JsonPredictDecodeTest, AnyWhiteSpaceAndUnknownKeys) {
  Decode(OneInput(DType::kFloat),
         "\xEF\xBB\xBF \n{ \t\"id\" : [ { \"a\" : null } , \"]\" ] ,\r\n \"instances\" : [ [ 1 , 2 ] , \n [\n3,\n4\n] \n] , "
         "\"later\":true } and what follows is not looked at [");
  EXPECT_EQ(ShapeOf(), "[2,2]");
  EXPECT_THAT(Values<float>(), ElementsAre(1, 2, 3, 4));
}

TEST_F(JsonPredictDecodeTest, KeysAreComparedWithoutTheirEscapes) {
  Decode(OneInput(DType::kFloat), R"({"inst\u0061nces": [{"\u0078": 1}]})");
  EXPECT_THAT(Values<float>(), ElementsAre(1));
}

TEST_F(JsonPredictDecodeTest, OfSeveralKeysTheFirstCounts) {
  Decode(OneInput(DType::kFloat), R"({"instances": [1], "instances": ["x"], "signature_name": "", "signature_name": 7})");
  EXPECT_THAT(Values<float>(), ElementsAre(1));
}

TEST_F(JsonPredictDecodeTest, ComplexNumbersArePairs) {
  Decode(OneInput(DType::kComplex64), R"({"instances": [[1, -2.5], [NaN, 1e2], [3,4]]})");
  EXPECT_EQ(ShapeOf(), "[3]");
  EXPECT_THAT(Values<float>(), ElementsAre(1, -2.5F, testing::IsNan(), 100, 3, 4));
  Decode(OneInput(DType::kComplex128), R"({"instances": [{"x": [[1,2],[3,4]]}, {"x": [[5,6],[7,8]]}]})");
  EXPECT_EQ(ShapeOf(), "[2,2]");
  EXPECT_THAT(Values<double>(), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  Decode(OneInput(DType::kComplex64), R"({"inputs": [1, 2]})");
  EXPECT_EQ(ShapeOf(), "[]");
  Decode(OneInput(DType::kComplex64), R"({"inputs": []})");
  EXPECT_EQ(ShapeOf(), "[0]");
  Decode(OneInput(DType::kComplex64), R"({"inputs": [[],[]]})");
  EXPECT_EQ(ShapeOf(), "[2,0]");
  Decode(OneInput(DType::kComplex64, {-1, 2}), R"({"inputs": [[[[[[[[1,2]]]]]]]]})");
  EXPECT_EQ(ShapeOf(), "[1,1,1,1,1,1,1]") << "the pairs are the eighth level";
}

TEST_F(JsonPredictDecodeTest, TheOutputFilterMayStandAnywhere) {
  Decode(OneInput(DType::kFloat), R"({"output_filter": ["y", "z\u0041"], "instances": [1], "output_filter": ["ignored"]})");
  EXPECT_THAT(request_.output_filter, ElementsAre("y", "zA"));
  Decode(OneInput(DType::kFloat), R"({"inputs": [1], "output_filter": []})");
  EXPECT_THAT(request_.output_filter, ElementsAre());
  const Signature named = OneInput(DType::kFloat);
  bool asked = false;
  const SignatureResolver second_pass = [&](std::string_view) -> StatusOr<const Signature*> {
    if (!std::exchange(asked, true)) return NotFoundError("not yet");
    return &named;
  };
  DecodeWith(second_pass, R"({"output_filter": ["y"], "instances": [1]})");
  EXPECT_THAT(request_.output_filter, ElementsAre("y")) << "read once, although the document was read twice";
  Decode(OneInput(DType::kFloat), R"({"inputs": [1]})");
  EXPECT_THAT(request_.output_filter, ElementsAre()) << "nothing is left of the request before";
}

TEST_F(JsonPredictDecodeTest, StringsKeepTheirBytes) {
  Decode(OneInput(DType::kString), "{\"instances\": [\"\", \"\xFF\xC3(\", \"a\\u0000b\", \"\\ud83d\\ude00\\n\"]}");
  EXPECT_THAT(Strings(), ElementsAre("", "\xFF\xC3(", std::string("a\0b", 3), "\xF0\x9F\x98\x80\n"));
}

TEST_F(JsonPredictDecodeTest, SignatureNameMayStandAnywhere) {
  const Signature floats = OneInput(DType::kFloat);
  Signature strings = OneInput(DType::kString);
  strings.key = "other";
  std::vector<std::string> asked;
  const SignatureResolver resolve = [&](std::string_view name) -> StatusOr<const Signature*> {
    asked.emplace_back(name);
    if (name == "other") return &strings;
    return &floats;
  };
  DecodeWith(resolve, R"({"instances": [1]})");
  EXPECT_EQ(request_.signature, &floats);
  EXPECT_THAT(asked, ElementsAre(""));

  asked.clear();
  DecodeWith(resolve, R"({"signature_name": "other", "instances": ["a"]})");
  EXPECT_EQ(request_.signature, &strings);
  EXPECT_THAT(asked, ElementsAre("other"));

  DecodeWith(resolve, R"({"instances": ["a", "b"], "signature_name": "other"})");
  EXPECT_EQ(request_.signature, &strings);
  EXPECT_THAT(Strings(), ElementsAre("a", "b"));

  asked.clear();
  DecodeWith(resolve, R"({"instances": [2], "signature_name": "serving_default"})");
  EXPECT_EQ(request_.signature, &floats);
  EXPECT_THAT(asked, ElementsAre("", "serving_default")) << "the same signature needs no second pass";
  EXPECT_THAT(Values<float>(), ElementsAre(2));
}

TEST_F(JsonPredictDecodeTest, AModelWithoutADefaultSignature) {
  const Signature floats = OneInput(DType::kFloat);
  const SignatureResolver resolve = [&](std::string_view name) -> StatusOr<const Signature*> {
    if (name == "only") return &floats;
    return InvalidArgumentError("Serving signature name: \"serving_default\" not found in signature def");
  };
  DecodeWith(resolve, R"({"instances": [2], "signature_name": "only"})");
  EXPECT_THAT(Values<float>(), ElementsAre(2));
}

TEST_F(JsonPredictDecodeTest, NestingUpToTheHighestRank) {
  Decode(OneInput(DType::kFloat), R"({"instances": [[[[[[[[1,2]]]]]]]]})");
  EXPECT_EQ(ShapeOf(), "[1,1,1,1,1,1,1,2]");
  Decode(OneInput(DType::kFloat), R"({"inputs": [[[[[[[[1],[2]]]]]]]]})");
  EXPECT_EQ(ShapeOf(), "[1,1,1,1,1,1,2,1]");
}

// Larger than every first guess, in every place where memory grows.
TEST_F(JsonPredictDecodeTest, ManyElementsAndRows) {
  std::string image = "[";
  for (int i = 0; i < 5000; ++i) image += fmt::format("{}[{},{}.5,-{}]", i > 0 ? "," : "", i, i, i);
  image += "]";
  std::vector<float> expected;
  for (int row = 0; row < 3; ++row) {
    for (int i = 0; i < 5000; ++i) expected.insert(expected.end(), {static_cast<float>(i), static_cast<float>(i) + 0.5F, -static_cast<float>(i)});
  }
  Decode(OneInput(DType::kFloat), fmt::format(R"({{"instances": [{}, {},{}]}})", image, image, image));
  EXPECT_EQ(ShapeOf(), "[3,5000,3]");
  EXPECT_EQ(Values<float>(), expected);
  Decode(OneInput(DType::kFloat, {-1, 5000, 3}), fmt::format(R"({{"instances": [{{"x":{}}}, {{"x":{}}},{{"x":{}}}]}})", image, image, image));
  EXPECT_EQ(ShapeOf(), "[3,5000,3]");
  EXPECT_EQ(Values<float>(), expected);
}

TEST_F(JsonPredictDecodeTest, MemoryIsReused) {
  const Signature signature = OneInput(DType::kFloat, {-1, 4});
  Decode(signature, R"({"instances": [[1,2,3,4],[5,6,7,8]]})");
  const std::byte* const memory = request_.inputs[0].view().bytes.data();
  Decode(signature, R"({"instances": [[9,10,11,12]]})");
  EXPECT_EQ(request_.inputs[0].view().bytes.data(), memory);
  EXPECT_EQ(ShapeOf(), "[1,4]");
  EXPECT_THAT(Values<float>(), ElementsAre(9, 10, 11, 12));
}

}  // namespace
}  // namespace tflite_serving
